//! Quotas: nodes below `/zookeeper/quota` that only clients make. Answers to `SetQuotaCommand`, `ListQuotaCommand`,
//! `DelQuotaCommand` and `StatsTrack`.

use std::collections::BTreeMap;
use std::fmt;

use super::{Call, nodes};
use crate::client::{CallError, Client, CreateKind, Failure, path};
use crate::json::Json;
use crate::proto::ErrorCode;
use crate::shell::Failed;
use crate::tree::quota::{LIMITS_NODE, QUOTA_ROOT, STATS_NODE, limits_path, stats_path};

const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD: &str = "countHardLimit";
const BYTES_HARD: &str = "byteHardLimit";

/// The options and what they set.
const OPTIONS: [(&str, &str, &str); 4] = [
    ("n", COUNT, "num soft quota"),
    ("b", BYTES, "bytes soft quota"),
    ("N", COUNT_HARD, "num hard quota"),
    ("B", BYTES_HARD, "bytes hard quota"),
];

const PERSISTENT: CreateKind = CreateKind {
    ephemeral: false,
    sequential: false,
    container: false,
    ttl_ms: None,
};

/// Numbers by their names; -1 where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Track(BTreeMap<String, i64>);

impl Track {
    fn parse(text: &[u8]) -> Track {
        let text = jute::decode_utf8(text);
        let entries = text.split([',', ';']).filter_map(|entry| {
            let mut parts = entry.split('=');
            let (name, number) = (parts.next()?, parts.next()?);
            Some((name.to_owned(), number.parse().unwrap_or(-1)))
        });
        Track(entries.collect())
    }

    fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(-1)
    }

    fn set(&mut self, name: &str, number: i64) {
        self.0.insert(name.to_owned(), number);
    }

    fn json(&self) -> Json {
        let names = [COUNT, BYTES, COUNT_HARD, BYTES_HARD];
        Json::object(names.map(|name| (name, self.get(name).into())).to_vec())
    }
}

impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "count={},bytes={}", self.get(COUNT), self.get(BYTES))?;
        let others = self
            .0
            .iter()
            .filter(|(name, _)| *name != COUNT && *name != BYTES);
        for (i, (name, number)) in others.enumerate() {
            // Servers before 3.7 read up to here.
            write!(f, "{};{name}={number}", if i == 0 { "=" } else { "" })?;
        }
        Ok(())
    }
}

pub(super) fn set(call: &Call<'_>) -> Result<Json, Failed> {
    let given = OPTIONS.iter().filter(|(option, ..)| call.given.has(option));
    let given: Vec<_> = given.collect();
    let (option, name, _) = match given[..] {
        [one] => one,
        [] => {
            let all: Vec<String> = OPTIONS
                .iter()
                .map(|(option, _, about)| format!("-{option} {about}"))
                .collect();
            let all = all.join(", ");
            return Err(Failed::new(format!("Missing required option: [{all}]")));
        }
        _ => {
            let (first, second) = (call.given.options[0].0, call.given.options[1].0);
            return Err(Failed::new(format!(
                "The option '{second}' was specified but an option from this group has already been selected: \
                 '{first}'"
            )));
        }
    };
    if call.given.arguments.is_empty() {
        return Err(call.wrong());
    }
    let path = call.path();
    let refuse = |text: &str| match call.out.is_json {
        true => Err(Failed::new(text)),
        false => {
            call.out.aside(text);
            Ok(Json::Null)
        }
    };
    if path.starts_with(QUOTA_ROOT) {
        return refuse(&format!("cannot set a quota under the path: {QUOTA_ROOT}"));
    }
    let counts = matches!(*name, COUNT | COUNT_HARD);
    let number: i64 = match call.given.value(option).map(str::parse) {
        Some(Ok(number)) if !counts || i32::try_from(number).is_ok() => number,
        _ => return refuse("NumberFormatException happens when parsing the option value"),
    };
    if counts && number <= 0 {
        return refuse("the num quota must be greater than zero");
    }
    if !counts && number < 0 {
        return refuse("the bytes quota must be greater than or equal to zero");
    }
    create(call, path, name, number)?;
    Ok(Json::Null)
}

fn create(call: &Call<'_>, path: &str, name: &str, number: i64) -> Result<(), Failed> {
    let client = call.client;
    if client.exists(path, false)?.is_none() {
        return Err(Failed::new(format!("{path} does not exist.")));
    }
    no_quota_below(client, path)?;
    no_quota_above(client, path)?;
    let open = nodes::open_acl();
    let make = |path: &str| match client.exists(path, false)? {
        Some(_) => Ok(()),
        None => match client.create(path, None, &open, PERSISTENT) {
            Err(error) if is(&error, ErrorCode::NODE_EXISTS) => Ok(()),
            made => made.map(drop),
        },
    };
    make("/zookeeper")?;
    make(QUOTA_ROOT)?;
    let mut quota = QUOTA_ROOT.to_owned();
    for name in path.split('/').skip(1) {
        quota = path::child(&quota, name);
        make(&quota)?;
    }
    let (limits, stats) = (
        path::child(&quota, LIMITS_NODE),
        path::child(&quota, STATS_NODE),
    );
    if client.exists(&limits, false)?.is_none() {
        let mut track = Track::default();
        for (_, name, _) in OPTIONS {
            track.set(name, -1);
        }
        track.set(name, number);
        let text = track.to_string();
        client.create(&limits, Some(text.as_bytes()), &open, PERSISTENT)?;
        let nothing = Track::parse(b"count=0,bytes=0").to_string();
        client.create(&stats, Some(nothing.as_bytes()), &open, PERSISTENT)?;
        warn_if_exceeded(call, &track, &read(client, &stats)?);
    } else {
        let mut track = read(client, &limits)?;
        track.set(name, number);
        warn_if_exceeded(call, &track, &read(client, &stats)?);
        client.set_data(&limits, track.to_string().as_bytes(), -1)?;
    }
    Ok(())
}

fn is(error: &CallError, code: ErrorCode) -> bool {
    matches!(error, CallError::Server(Failure { code: found, .. }) if *found == code)
}

fn read(client: &Client, path: &str) -> Result<Track, CallError> {
    let (data, _) = client.get_data(path, false)?;
    Ok(Track::parse(data.as_deref().unwrap_or_default()))
}

fn warn_if_exceeded(call: &Call<'_>, limits: &Track, used: &Track) {
    for (what, soft, hard) in [("count", COUNT, COUNT_HARD), ("bytes", BYTES, BYTES_HARD)] {
        let used = used.get(soft);
        let is_less = |limit: i64| limit > -1 && limit < used;
        if is_less(limits.get(soft)) || is_less(limits.get(hard)) {
            call.out.line(format!(
                "[Warning]: the {what} quota you create is less than the existing {what}:{used}"
            ));
        }
    }
}

fn no_quota_below(client: &Client, path: &str) -> Result<(), Failed> {
    let own = format!("{QUOTA_ROOT}{path}");
    if client.exists(&own, false)?.is_none() {
        return Ok(());
    }
    let mut found = None;
    nodes::visit(client, &own, false, &mut |quota| {
        let limited = quota
            .strip_suffix(LIMITS_NODE)
            .and_then(|p| p.strip_suffix('/'));
        if let Some(limited) = limited.filter(|limited| *limited != own && found.is_none()) {
            found = Some(limited[QUOTA_ROOT.len()..].to_owned());
        }
        Ok(())
    })?;
    match found {
        None => Ok(()),
        Some(child) => Err(Failed::new(format!(
            "{path} has a child {child} which has a quota"
        ))),
    }
}

fn no_quota_above(client: &Client, path: &str) -> Result<(), Failed> {
    let names: Vec<&str> = path.split('/').skip(1).collect();
    let mut above = String::new();
    for name in &names[..names.len().saturating_sub(1)] {
        above = format!("{above}/{name}");
        if client.exists(&limits_path(&above), false)?.is_some() {
            return Err(Failed::new(format!(
                "{path} has a parent {above} which has a quota"
            )));
        }
    }
    Ok(())
}

pub(super) fn list(call: &Call<'_>) -> Result<Json, Failed> {
    let path = call.path();
    call.out
        .aside(format!("absolute path is {}", limits_path(path)));
    let read = || {
        let limits = read(call.client, &limits_path(path))?;
        Ok((limits, read(call.client, &stats_path(path))?))
    };
    let (limits, stats) = match read() {
        Err(error) if is(&error, ErrorCode::NO_NODE) && !call.out.is_json => {
            call.out.aside(format!("quota for {path} does not exist."));
            return Ok(Json::Null);
        }
        found => found?,
    };
    call.out.line(format!("Output quota for {path} {limits}"));
    call.out.line(format!("Output stat for {path} {stats}"));
    Ok(Json::object(vec![
        ("path", path.into()),
        ("limits", limits.json()),
        ("stats", stats.json()),
    ]))
}

pub(super) fn delete(call: &Call<'_>) -> Result<Json, Failed> {
    let (path, client) = (call.path(), call.client);
    let limits = limits_path(path);
    if client.exists(&limits, false)?.is_none() {
        call.out.line(format!("Quota does not exist for {path}"));
        return Ok(Json::Null);
    }
    let given = OPTIONS.iter().filter(|(option, ..)| call.given.has(option));
    let given: Vec<_> = given.collect();
    if !given.is_empty() {
        let mut track = read(client, &limits)?;
        for (_, name, _) in given {
            track.set(name, -1);
        }
        client.set_data(&limits, track.to_string().as_bytes(), -1)?;
        return Ok(Json::Null);
    }
    let mut quota = format!("{QUOTA_ROOT}{path}");
    for child in client.get_children(&quota, false)?.0 {
        client.delete(&path::child(&quota, &child), -1)?;
    }
    // What is left of the way to it, as far as nothing else hangs there.
    while quota != QUOTA_ROOT && client.get_children(&quota, false)?.0.is_empty() {
        client.delete(&quota, -1)?;
        let Some((parent, _)) = quota.rsplit_once('/') else {
            break;
        };
        quota = parent.to_owned();
    }
    Ok(Json::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_original_writes_them() {
        let mut track = Track::default();
        assert_eq!(track.to_string(), "count=-1,bytes=-1");
        for (_, name, _) in OPTIONS {
            track.set(name, -1);
        }
        track.set(COUNT_HARD, 5);
        let text = "count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=5";
        assert_eq!(track.to_string(), text);
        assert_eq!(Track::parse(text.as_bytes()), track);
        assert_eq!(Track::parse(b"count=3,bytes=7").get(BYTES), 7);
        assert_eq!(Track::parse(b"\xff").get(COUNT), -1);
    }
}
