//! The ensemble: who is a member, and this program.

use super::Call;
use crate::json::Json;
use crate::shell::Failed;
use crate::shell::print;

pub(super) const RECONFIG_SYNTAX: &str = "[-s] [-v version] [[-file path] | [-members \
     serverID=host:port1:port2;port3[,...]*]] | [-add serverId=host:port1:port2;port3[,...]]* \
     [-remove serverId[,...]*]";

pub(super) fn version(call: &Call<'_>) -> Result<Json, Failed> {
    if !call.given.arguments.is_empty() {
        return Err(call.wrong());
    }
    let version = crate::admin::version::FULL;
    call.out.line(format!("ZooKeeper CLI version: {version}"));
    Ok(Json::object(vec![("version", version.into())]))
}

pub(super) fn config(call: &Call<'_>) -> Result<Json, Failed> {
    let (data, stat) = call.client.get_config(call.given.has("w"))?;
    let data = data.as_deref().unwrap_or(b"null");
    let text = jute::decode_utf8(data).into_owned();
    let shown = match call.given.has("c") {
        true => client_string(&text),
        false => text,
    };
    call.out.line(&shown);
    if call.given.has("s") {
        call.out.line(print::stat_lines(&stat));
    }
    Ok(Json::object(vec![
        ("config", shown.into()),
        ("stat", print::stat_json(&stat)),
    ]))
}

/// The version, and where clients of each member connect.
fn client_string(config: &str) -> String {
    let value = |line: &str, key: &str| {
        let rest = line.trim().strip_prefix(key)?;
        Some(rest.to_owned())
    };
    let mut version = String::new();
    let mut addresses = Vec::new();
    for line in config.lines() {
        if let Some(text) = value(line, "version=") {
            version = text;
        } else if let Some(server) = value(line, "server.") {
            let address = server.split_once(';').map(|(_, address)| address.trim());
            addresses.extend(address.map(|address| match address.contains(':') {
                true => address.to_owned(),
                false => format!("0.0.0.0:{address}"),
            }));
        }
    }
    format!("{version} {}", addresses.join(","))
}

pub(super) fn reconfig(call: &Call<'_>) -> Result<Json, Failed> {
    let given = &call.given;
    let (file, members) = (given.value("file"), given.value("members"));
    let (joining, leaving) = (given.value("add"), given.value("remove"));
    let whole = file.is_some() || members.is_some();
    let parts = joining.is_some() || leaving.is_some();
    if !whole && !parts {
        return Err(call.wrong());
    }
    let version = match given.value("v") {
        None => -1,
        Some(text) => i64::from_str_radix(text, 16)
            .map_err(|_| Failed::new("-v must be followed by a long (configuration version)"))?,
    };
    if whole && parts {
        return Err(Failed::new(
            "Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes \
             is not allowed)",
        ));
    }
    if file.is_some() && members.is_some() {
        return Err(Failed::new(
            "Can't use -file and -members together (conflicting non-incremental modes)",
        ));
    }
    let lower = |text: Option<&str>| text.map(str::to_lowercase);
    let members = match file {
        Some(file) => Some(members_of(file)?),
        None => lower(members),
    };
    let (joining, leaving) = (lower(joining), lower(leaving));
    let (config, stat) = call.client.reconfigure(
        joining.as_deref(),
        leaving.as_deref(),
        members.as_deref(),
        version,
    )?;
    let config = jute::decode_utf8(&config).into_owned();
    call.out
        .line(format!("Committed new configuration:\n{config}"));
    if given.has("s") {
        call.out.line(print::stat_lines(&stat));
    }
    Ok(Json::object(vec![
        ("config", config.into()),
        ("stat", print::stat_json(&stat)),
    ]))
}

/// The members that a dynamic configuration file names.
fn members_of(file: &str) -> Result<String, Failed> {
    let failed = |why: String| Failed::new(format!("Error processing {file}: {why}"));
    let bytes = std::fs::read(file).map_err(|e| failed(e.to_string()))?;
    let entries = crate::config::properties::parse(&bytes)
        .map_err(|_| failed("it has a malformed escape".to_owned()))?;
    let about_members = |key: &str| {
        let families = ["server.", "group.", "weight."];
        families.iter().any(|family| key.starts_with(family))
    };
    let lines: Vec<String> = entries
        .iter()
        .filter(|entry| about_members(&entry.key))
        .map(|entry| format!("{}={}", entry.key, entry.value))
        .collect();
    if lines.is_empty() {
        return Err(failed("it names no server".to_owned()));
    }
    Ok(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_clients_connect() {
        let config = "server.1=a:1:2:participant;0.0.0.0:2181\nserver.2=b:1:2:participant;2182\nversion=100000000";
        assert_eq!(client_string(config), "100000000 0.0.0.0:2181,0.0.0.0:2182");
        assert_eq!(client_string("version=0"), "0 ");
    }
}
