//! What the dashboard's page asks for. Data, children and ACL lists are for who may read them: the identity of the
//! request's `Authorization`, or anybody's rights without one. What is changed is `edit`'s matter.
//!
//! Every answer is bounded, and the tree is held for no longer than a batch of requests holds it. The page itself is
//! `dashboard.html`, compiled in. There is nothing of the kind in Java.

mod edit;
mod neighbours;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use base64::Engine;

use super::auth;
use super::{HTML, JSON, not_allowed};
use crate::admin::commands::AdminSource;
use crate::admin::four_letter::{ServerState, StatusSource};
use crate::admin::json;
use crate::admin::version;
use crate::auth::{Id, perm};
use crate::config::Admin;
use crate::ids::Zxid;
use crate::json::{Json, Object};
use crate::net::http::{Body, Request, Response};
use crate::proto::txn::TxnHeader;
use crate::server::status::Status;
use crate::tree::{Node, Tree, path};
use jute::Text;
use neighbours::Neighbours;

const PAGE: &str = include_str!("dashboard.html");
/// Nothing from elsewhere is loaded, asked or framed.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Children that are looked at under one hold of the tree, and those that one answer has.
const CHILDREN_SEEN_MAX: usize = 2000;
const CHILDREN_MAX: usize = 100;
const DATA_BYTES_MAX: usize = 64 << 10;
const SESSIONS_MAX: usize = 200;
const TXNS_MAX: i64 = 100;
const HOT_PATHS_MAX: usize = 50;

pub(super) struct Dashboard {
    status: Arc<Status>,
    trusts_forwarded_for: bool,
    edits: bool,
    neighbours: neighbours::Watch,
}

impl Dashboard {
    pub fn new(status: Arc<Status>, settings: &Admin) -> Dashboard {
        Dashboard {
            status,
            trusts_forwarded_for: settings.trusts_forwarded_for,
            edits: settings.dashboard_edits,
            neighbours: Default::default(),
        }
    }

    /// `None`: no address of the dashboard's.
    pub async fn answer(&self, request: &Request, body: &mut Body<'_>) -> Option<Response> {
        let path = request.head.path.strip_prefix("/dashboard/api/");
        match &*request.head.method {
            "GET" | "HEAD" => self.show(request).await,
            "POST" if matches!(path, Some("data" | "acl")) => Some(self.edit(request, body).await),
            _ if matches!(path, Some("data" | "acl")) => Some(not_allowed("POST")),
            _ => None,
        }
    }

    async fn show(&self, request: &Request) -> Option<Response> {
        let rest = match &*request.head.path {
            "/" | "/dashboard" | "/dashboard/" => {
                let page = Response::new(200, HTML, PAGE);
                return Some(
                    page.with("Content-Security-Policy", POLICY)
                        .with("Referrer-Policy", "no-referrer"),
                );
            }
            path => path.strip_prefix("/dashboard/api/")?,
        };
        let ask: fn(&Asked) -> Object = match rest {
            "overview" => overview,
            "sessions" => sessions,
            "node" => node,
            "children" => children,
            "transactions" => transactions,
            "hot" => hot,
            "data" | "acl" => return Some(not_allowed("POST")),
            _ => return None,
        };
        if !is_meant(request) {
            let why = "ask by an address or as localhost: another name may be that of a page from elsewhere";
            return Some(json(403, &error(why)));
        }
        let ids = match request.head.header("authorization") {
            None => Vec::new(),
            Some(_) => {
                let providers = &self.status.pipeline.rules().providers;
                match auth::identities(request, providers, self.trusts_forwarded_for) {
                    Ok(ids) => ids,
                    Err(denied) => return Some(json(denied.status(), &error(denied.text()))),
                }
            }
        };
        let neighbours = match rest {
            "overview" => {
                let own = || self.status.pipeline.tree().last_zxid();
                self.neighbours.look(self.status.neighbours(), own).await
            }
            _ => Neighbours::default(),
        };
        let asked = Asked {
            status: self.status.clone(),
            ids,
            arguments: request.head.arguments.clone(),
            neighbours,
            edits: self.edits,
        };
        let shown = tokio::task::spawn_blocking(move || json(200, &ask(&asked))).await;
        Some(shown.unwrap_or_else(|_| Response::of_status(500)))
    }

    async fn edit(&self, request: &Request, body: &mut Body<'_>) -> Response {
        match self.try_edit(request, body).await {
            Ok(()) => json(200, &Object::default().with("error", Json::Null)),
            Err(edit::Refused(status, why)) => {
                let (remote, path) = (request.remote, &request.head.path);
                tracing::warn!(%remote, "a change by {path} is refused: {why}");
                json(status, &error(&why))
            }
        }
    }

    async fn try_edit(&self, request: &Request, body: &mut Body<'_>) -> Result<(), edit::Refused> {
        if !self.edits {
            let why = "nothing is changed here unless admin.dashboard.edit=true says so";
            return Err(edit::Refused(403, why.to_owned()));
        }
        if !is_meant(request) {
            let why = "asked by another name than this server's";
            return Err(edit::Refused(403, why.to_owned()));
        }
        let pipeline = &self.status.pipeline;
        let providers = &pipeline.rules().providers;
        let editor = edit::editor(request, providers, self.trusts_forwarded_for)?;
        let arguments = &request.head.arguments;
        let path = arguments.get("path").map_or("", String::as_str);
        // Whoever changes something says what it was: of two at once one gets to know.
        let version = arguments.get("version").and_then(|text| text.parse().ok());
        let Some(version) = version else {
            let why = "the argument version is missing: that of the data, or of the list";
            return Err(edit::Refused(400, why.to_owned()));
        };
        match request.head.path.ends_with("/acl") {
            true => edit::list(pipeline, editor, path, version, body).await,
            false => edit::data(pipeline, editor, path, version, body).await,
        }
    }
}

fn json(status: u16, members: &Object) -> Response {
    Response::new(status, JSON, json::print(members))
}

/// A page of anybody's, open in a browser on this machine, can give its own name the address of this machine, and then
/// ask here as if it came from here. What it cannot do is to ask by another name.
fn is_meant(request: &Request) -> bool {
    if !request.remote.ip().is_loopback() {
        return true;
    }
    is_address(request.head.header("host").unwrap_or_default())
}

/// Of this server, and not a name that somebody may have given it.
fn is_address(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let number = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || number.parse::<std::net::IpAddr>().is_ok()
}

struct Asked {
    status: Arc<Status>,
    ids: Vec<Id>,
    arguments: crate::admin::commands::Arguments,
    neighbours: Neighbours,
    edits: bool,
}

impl Asked {
    fn argument(&self, name: &str) -> &str {
        self.arguments.get(name).map_or("", String::as_str)
    }

    fn may_read(&self, tree: &Tree, node: &Node) -> bool {
        let providers = &self.status.pipeline.rules().providers;
        providers.check(tree.acl(node), perm::READ, &self.ids)
    }
}

/// Texts, where numbers would lose digits on their way through a browser.
fn hex(number: i64) -> String {
    format!("0x{number:x}")
}

fn overview(asked: &Asked) -> Object {
    let status = &asked.status;
    let (state, server, gauges) = (status.state(), status.server(), status.gauges());
    let pipeline = &status.pipeline;
    let stages = &pipeline.stats.stages;
    let stage = |summary: &crate::admin::metrics::DetailedSummary| {
        let totals = summary.totals();
        let [p50, p99] = summary.percentiles([0.5, 0.99]);
        Object::default()
            .with("count", totals.count)
            .with("sum_us", totals.sum)
            .with("p50_us", p50)
            .with("p99_us", p99)
    };
    let watches = status.watch_summary();
    let mut out = Object::default()
        .with("version", version::FULL)
        .with(
            "implementation",
            format!("Ferrokeeper {}", env!("CARGO_PKG_VERSION")),
        )
        .with("state", state.map_or("not serving", ServerState::name))
        .with("serving", state.is_some())
        .with("zxid", hex(server.zxid))
        .with("uptime_ms", gauges.uptime_ms)
        .with("received", server.packets_received)
        .with("sent", server.packets_sent)
        .with("connections", server.connections)
        .with("outstanding", server.requests_outstanding)
        .with("nodes", server.nodes)
        .with("data_bytes", gauges.approximate_data_bytes)
        .with("ephemerals", gauges.ephemerals)
        .with("sessions", gauges.global_sessions + gauges.local_sessions)
        .with("watches", gauges.watches)
        .with("watched_paths", watches.paths)
        .with("latency_max_ms", server.latency_ms_max)
        .with("slow_syncs", status.slow_syncs())
        .with(
            "digest_mismatches",
            status.metrics().digest_mismatches_count.get(),
        )
        .with(
            "auth_failed",
            pipeline.stats.auth_failed.load(Ordering::Relaxed),
        )
        .with("read", stage(&stages.read))
        .with("write", stage(&stages.write))
        .with("sync", stage(&stages.sync))
        .with("commits", status.metrics.commit_count.get());
    if let Some(peer_state) = status.peer_state() {
        out.put("peer_state", peer_state);
    }
    if let Some(snapshot) = status.last_snapshot() {
        out.put("checkpoint_zxid", hex(snapshot.zxid));
        out.put("checkpoint_unix_s", snapshot.unix_s);
    }
    out.put("edits", asked.edits);
    if let Some(leader) = status.leader() {
        out.put("leader_id", leader.id);
        // Where each is, and how far ahead of this server.
        let place = |member: &Object| match (member.get("id"), member.get("self")) {
            (_, Some(Json::Bool(true))) => Some((server.zxid, Some(0))),
            (Some(Json::Int(id)), _) => {
                asked.neighbours.get(id).map(|told| (told.zxid, told.ahead))
            }
            _ => None,
        };
        let members = status.member_objects().into_iter();
        let members: Vec<_> = members.map(|m| (place(&m), m)).collect();
        let ahead = members.iter().filter_map(|(place, _)| (*place)?.1);
        let first = ahead.max().unwrap_or(0);
        let members = members.into_iter().map(|(place, mut member)| {
            member.put("zxid", place.map(|(zxid, _)| hex(zxid)));
            let ahead = place.and_then(|(_, ahead)| ahead);
            member.put("behind", ahead.map(|ahead| first - ahead));
            if let Some(Json::Int(id)) = member.get("id")
                && let Some(told) = asked.neighbours.get(id)
            {
                let mode = told.mode.clone();
                member.put("mode", mode);
            }
            member
        });
        out.put("members", members.collect::<Vec<_>>());
    }
    out
}

/// The paths asked for most, for who has every right on the root; without it nothing is counted.
fn hot(asked: &Asked) -> Object {
    let pipeline = &asked.status.pipeline;
    if auth::authorize(pipeline, &asked.ids).is_err() {
        return Object::default().with("shows_paths", false);
    }
    let paths = pipeline.hot_paths.look(Instant::now());
    let shown = paths.iter().take(HOT_PATHS_MAX).map(|hot| {
        Object::default()
            .with("path", &*hot.path)
            .with("reads", hot.reads)
            .with("writes", hot.writes)
            .with("excess", hot.excess)
    });
    Object::default()
        .with("shows_paths", true)
        .with("paths", shown.collect::<Vec<_>>())
}

fn sessions(asked: &Asked) -> Object {
    let pipeline = &asked.status.pipeline;
    let offset: usize = asked.argument("offset").parse().unwrap_or(0);
    let mut clients: Vec<_> = pipeline.clients();
    clients.sort_by_key(|client| client.since_ms);
    let mut all = 0;
    let mut page: Vec<Object> = Vec::new();
    for client in &clients {
        let Some(session) = client.session() else {
            continue;
        };
        all += 1;
        if all <= offset || page.len() >= SESSIONS_MAX {
            continue;
        }
        let stats = &client.stats;
        let owned = pipeline.tree().ephemerals_of(session.id).count();
        page.push(
            Object::default()
                .with("id", hex(session.id.0))
                .with("address", client.remote.to_string())
                .with("secure", client.is_secure())
                .with("since_unix_ms", client.since_ms)
                .with("timeout_ms", session.timeout_ms())
                .with("received", stats.received.load(Ordering::Relaxed))
                .with("sent", stats.sent.load(Ordering::Relaxed))
                .with("queued", client.queued())
                .with(
                    "latency_max_ms",
                    stats.max_latency_ms.load(Ordering::Relaxed),
                )
                .with("ephemerals", owned),
        );
    }
    Object::default()
        .with("connected", all)
        .with("known", pipeline.tree().session_count())
        .with("sessions", page)
}

fn error(why: &str) -> Object {
    Object::default().with("error", why)
}

fn node(asked: &Asked) -> Object {
    let wanted = asked.argument("path");
    let tree = asked.status.pipeline.tree();
    if !path::is_valid(wanted) {
        return error("no such node");
    }
    let Some(node) = tree.get(wanted) else {
        return error("no such node");
    };
    if !asked.may_read(&tree, node) {
        return Object::default().with("path", wanted).with("denied", true);
    }
    let providers = &asked.status.pipeline.rules().providers;
    let stat = tree.stat(node);
    let stat = Object::default()
        .with("czxid", hex(stat.czxid))
        .with("mzxid", hex(stat.mzxid))
        .with("pzxid", hex(stat.pzxid))
        .with("ctime", stat.ctime)
        .with("mtime", stat.mtime)
        .with("version", stat.version)
        .with("cversion", stat.cversion)
        .with("aversion", stat.aversion)
        .with("ephemeral_owner", hex(stat.ephemeral_owner))
        .with("data_length", stat.data_length)
        .with("children", stat.num_children);
    let mut out = Object::default().with("path", wanted).with("stat", stat);
    let list = tree.acl(node).iter().map(|entry| {
        // Of who has a password, the name is enough.
        let id = match (&*entry.scheme, entry.id.split_once(':')) {
            ("digest", Some((user, _))) => format!("{user}:…"),
            _ => entry.id.to_string(),
        };
        Json::from(format!("{}:{id}:{}", entry.scheme, letters(entry.perms)))
    });
    out.put("acl", Json::List(list.collect()));
    if providers.check(tree.acl(node), perm::ADMIN, &asked.ids) {
        // As getACL shows it to who may change it.
        let whole = tree.acl(node).iter();
        let whole = whole.map(|e| format!("{}:{}:{}", e.scheme, e.id, letters(e.perms)));
        out.put("acl_text", whole.collect::<Vec<_>>().join(","));
    }
    out.put(
        "writable",
        providers.check(tree.acl(node), perm::WRITE, &asked.ids),
    );
    let data = node.data();
    let shown = data.unwrap_or_default();
    let shown = &shown[..shown.len().min(DATA_BYTES_MAX)];
    match (data, std::str::from_utf8(shown)) {
        (None, _) => out.put("data", Json::Null),
        (Some(_), Ok(text)) => out.put("data", text),
        (Some(_), Err(_)) => {
            let text = base64::engine::general_purpose::STANDARD.encode(shown);
            out.put("base64", text);
        }
    }
    out
}

fn letters(perms: i32) -> String {
    let all = [
        (perm::CREATE, 'c'),
        (perm::DELETE, 'd'),
        (perm::READ, 'r'),
        (perm::WRITE, 'w'),
        (perm::ADMIN, 'a'),
    ];
    let held = all.into_iter().filter(|(bit, _)| perms & bit != 0);
    held.map(|(_, letter)| letter).collect()
}

/// From the child behind `after` on, some whose names hold `find`. `next` is where to go on.
fn children(asked: &Asked) -> Object {
    let (wanted, after, find) = (
        asked.argument("path"),
        asked.argument("after"),
        asked.argument("find"),
    );
    let tree = asked.status.pipeline.tree();
    let parent = Some(wanted).filter(|p| path::is_valid(p));
    let Some(parent) = parent.and_then(|p| tree.find(p)) else {
        return error("no such node");
    };
    let node = tree.node(parent);
    if !asked.may_read(&tree, node) {
        return Object::default().with("denied", true);
    }
    let mut out = Object::default().with("count", i64::from(node.child_count()));
    let mut rest = match after {
        "" => tree.children(parent),
        name => {
            let base = if wanted == "/" { "" } else { wanted };
            match tree.find(&format!("{base}/{name}")) {
                Some(child) => tree.children_behind(child),
                None => return error("the list changed: begin again"),
            }
        }
    };
    let mut page: Vec<Object> = Vec::new();
    let mut last = None;
    let mut seen = 0;
    for (_, child) in rest.by_ref() {
        seen += 1;
        last = Some(child.name());
        if child.name().contains(find) {
            let mut one = Object::default().with("name", child.name());
            // The list has names alone for who may not read them.
            if asked.may_read(&tree, child) {
                one.put("children", i64::from(child.child_count()));
                one.put("bytes", child.data_len());
            }
            page.push(one);
        }
        if seen >= CHILDREN_SEEN_MAX || page.len() >= CHILDREN_MAX {
            break;
        }
    }
    let more = rest.next().is_some();
    out.put("children", page);
    out.put("next", last.filter(|_| more).map_or(Json::Null, Json::from));
    out
}

/// The last ones of the log. Their paths are for who has every right on the root.
fn transactions(asked: &Asked) -> Object {
    let status = &asked.status;
    let shows_paths = auth::authorize(&status.pipeline, &asked.ids).is_ok();
    let applied = status.pipeline.tree().applied_zxid();
    let epoch_begin = Zxid::new(applied.epoch(), 1);
    let from = (applied.0 - TXNS_MAX + 1).max(epoch_begin.0);
    let mut all = Vec::new();
    let mut reader = status.log().read_from(from);
    while let Ok(Some((zxid, bytes))) = reader.next() {
        let mut body = bytes;
        let Ok(header) = jute::read::<TxnHeader>(&mut body) else {
            break;
        };
        if zxid > applied.0 || all.len() as i64 >= TXNS_MAX {
            break;
        }
        let mut one = Object::default()
            .with("zxid", hex(zxid))
            .with("time", header.time)
            .with("session", hex(header.client_id))
            .with("op", i64::from(header.op.0))
            .with("bytes", bytes.len());
        // What begins with a path.
        if shows_paths && matches!(header.op.0, 1 | 2 | 5 | 7 | 15 | 19 | 20 | 21) {
            let path = jute::read::<Text<'_>>(&mut body).ok();
            let path = path.and_then(|path| path.as_str().map(str::to_owned));
            one.put("path", path.map_or(Json::Null, Json::from));
        }
        all.push(one);
    }
    all.reverse();
    Object::default()
        .with("shows_paths", shows_paths)
        .with("transactions", all)
}
