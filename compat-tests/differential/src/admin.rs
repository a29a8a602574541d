//! A super user's session on one server: shows the whole tree, empties it, and brings two servers level.
//!
//! Two servers are level when the next script sees the same zxid and the same counters of the nodes that cannot be
//! deleted. After a difference they are not; instead of starting both anew, the one behind is moved forward.

use crate::connection::{Connection, Incoming};
use crate::reply::{Cursor, Header, View, header};
use crate::request::{Field, Request, framed};
use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub const RESERVED: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];
const SUPER: &[u8] = b"super:test";
/// Requests in one write.
const BURST: usize = 200;

pub struct Admin {
    connection: Connection,
    pub zxid: i64,
}

/// What cannot be set back on a reserved node.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Counters {
    mzxid: i64,
    version: i32,
    creations: i32,
    aversion: i32,
    pzxid: i64,
}

pub fn open_acl(perms: i32) -> Field {
    Field::List(vec![Field::Acl(
        perms,
        Box::new(Field::str("world")),
        Box::new(Field::str("anyone")),
    )])
}

impl Admin {
    pub fn open(address: SocketAddr) -> Result<Admin> {
        let mut connection = Connection::open(address)?;
        let mut hello = vec![0; 12];
        hello.extend_from_slice(&600_000i32.to_be_bytes());
        hello.extend_from_slice(&0i64.to_be_bytes());
        hello.extend_from_slice(&framed(&[0; 16]));
        hello.push(0);
        connection.send(&framed(&hello));
        let Incoming::Frame(_) = connection.receive(Duration::from_secs(30)) else {
            bail!("no session for the administrator");
        };
        let mut admin = Admin {
            connection,
            zxid: 0,
        };
        let auth = Request::new(
            100,
            vec![
                Field::Int(0),
                Field::str("digest"),
                Field::Buf(SUPER.to_vec()),
            ],
        );
        ensure!(
            admin.call(&[auth])?[0].0.err == 0,
            "the super user's password is not accepted"
        );
        Ok(admin)
    }

    /// Sends the requests in bursts; the replies in order.
    pub fn call(&mut self, requests: &[Request]) -> Result<Vec<(Header, Vec<u8>)>> {
        let mut replies = Vec::new();
        for burst in requests.chunks(BURST) {
            let bytes: Vec<u8> = burst.iter().flat_map(|r| r.frame(1, 0)).collect();
            self.connection.send(&bytes);
            for _ in burst {
                let Incoming::Frame(frame) = self.connection.receive(Duration::from_secs(30))
                else {
                    bail!("the administrator's connection was lost");
                };
                let (h, body) = header(&frame).context("a reply without header")?;
                self.zxid = self.zxid.max(h.zxid);
                replies.push((h, body.to_vec()));
            }
        }
        Ok(replies)
    }

    /// All paths, parents first, siblings sorted.
    fn paths(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut all: Vec<Vec<u8>> = vec![b"/".to_vec()];
        let mut level = 0..1;
        while !level.is_empty() {
            let parents: Vec<Vec<u8>> = all[level.clone()].to_vec();
            let requests: Vec<Request> = parents
                .iter()
                .map(|p| Request::new(8, vec![Field::Str(p.clone()), Field::Bool(false)]))
                .collect();
            for (parent, (h, body)) in parents.iter().zip(self.call(&requests)?) {
                ensure!(
                    h.err == 0,
                    "getChildren {}: {}",
                    String::from_utf8_lossy(parent),
                    h.err
                );
                let mut names = Cursor { rest: &body }
                    .names()
                    .context("undecodable children")?;
                names.sort();
                for name in names {
                    let prefix: &[u8] = if parent == b"/" { b"" } else { parent };
                    all.push([prefix, b"/", &name].concat());
                }
            }
            level = level.end..all.len();
        }
        Ok(all)
    }

    /// Waits until the server has applied that transaction.
    pub fn await_zxid(&mut self, zxid: i64, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let replies = self.call(&[Request::new(11, vec![])])?;
            if replies.iter().any(|(h, _)| h.zxid >= zxid) {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "a member has not got {zxid:x} within {patience:?}"
            );
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    /// A line for each node: data, stat and ACL.
    pub fn dump(&mut self, view: &mut View) -> Result<Vec<(String, String)>> {
        let paths = self.paths()?;
        let requests: Vec<Request> = paths
            .iter()
            .flat_map(|p| {
                [
                    Request::new(4, vec![Field::Str(p.clone()), Field::Bool(false)]),
                    Request::new(6, vec![Field::Str(p.clone())]),
                ]
            })
            .collect();
        let replies = self.call(&requests)?;
        let mut lines: Vec<(String, String)> = Vec::new();
        for (i, (h, body)) in replies.iter().enumerate() {
            let (text, _) = view.body(&requests[i], h.err, body);
            let path = String::from_utf8_lossy(&paths[i / 2]).into_owned();
            lines.push((path.clone(), format!("node={path:?} err={} {text}", h.err)));
        }
        lines.push(("number of nodes".into(), format!("nodes={}", paths.len())));
        Ok(lines)
    }

    /// Deletes everything that can be deleted.
    pub fn wipe(&mut self) -> Result<()> {
        let paths = self.paths()?;
        let requests: Vec<Request> = paths
            .iter()
            .rev()
            .filter(|p| !RESERVED.iter().any(|r| r.as_bytes() == p.as_slice()))
            .map(|p| Request::new(2, vec![Field::Str(p.clone()), Field::Int(-1)]))
            .collect();
        for (request, (h, _)) in requests.iter().zip(self.call(&requests)?) {
            ensure!(
                h.err == 0,
                "cannot delete {:?}: {}",
                request.path().map(String::from_utf8_lossy),
                h.err
            );
        }
        Ok(())
    }

    /// Moves the counters of the reserved nodes up to those of the other server.
    fn forward(&mut self, own: &[Counters], other: &[Counters]) -> Result<()> {
        let mut requests = Vec::new();
        for (path, (own, other)) in RESERVED.iter().zip(own.iter().zip(other)) {
            for _ in own.version..other.version {
                requests.push(Request::new(
                    5,
                    vec![Field::str(path), Field::Buf(vec![]), Field::Int(-1)],
                ));
            }
            for _ in own.aversion..other.aversion {
                requests.push(Request::new(
                    7,
                    vec![Field::str(path), open_acl(31), Field::Int(-1)],
                ));
            }
            for _ in own.creations..other.creations {
                requests.extend(create_and_delete(path));
            }
        }
        requests.push(Request::new(11, vec![]));
        self.call(&requests).map(|_| ())
    }

    /// Gives the first `count` reserved nodes the data, the ACL and the zxids that scripts begin with.
    fn touch(&mut self, count: usize) -> Result<()> {
        let mut requests = Vec::new();
        for (i, path) in RESERVED.iter().enumerate().take(count) {
            requests.push(Request::new(
                5,
                vec![Field::str(path), Field::Buf(vec![]), Field::Int(-1)],
            ));
            let perms = if i == 3 { 1 } else { 31 };
            requests.push(Request::new(
                7,
                vec![Field::str(path), open_acl(perms), Field::Int(-1)],
            ));
            requests.extend(create_and_delete(path));
        }
        for (h, _) in self.call(&requests)? {
            ensure!(h.err == 0, "cannot touch a reserved node: {}", h.err);
        }
        Ok(())
    }

    fn counters(&mut self) -> Result<Vec<Counters>> {
        let requests: Vec<Request> = RESERVED
            .iter()
            .map(|p| Request::new(3, vec![Field::str(p), Field::Bool(false)]))
            .collect();
        self.call(&requests)?
            .iter()
            .map(|(h, body)| {
                ensure!(h.err == 0, "exists on a reserved node: {}", h.err);
                let mut c = Cursor { rest: body };
                (|| {
                    let (_, mzxid, _, _) = (c.long()?, counter(c.long()?), c.long()?, c.long()?);
                    let (version, cversion, aversion) = (c.int()?, c.int()?, c.int()?);
                    let (_, _, children) = (c.long()?, c.int()?, c.int()?);
                    let pzxid = counter(c.long()?);
                    Some(Counters {
                        mzxid,
                        version,
                        creations: (cversion + children) / 2,
                        aversion,
                        pzxid,
                    })
                })()
                .context("undecodable stat")
            })
            .collect()
    }
}

/// Without its epoch: how often two ensembles have elected somebody is nothing that scripts see.
fn counter(zxid: i64) -> i64 {
    zxid & 0xffff_ffff
}

/// Empties both trees and makes both servers equal in all that a script can see. Returns their zxids, which differ in the
/// epoch alone.
pub fn level(left: &mut Admin, right: &mut Admin) -> Result<(i64, i64)> {
    let emptied = |admin: &mut Admin| {
        admin.wipe()?;
        admin.counters()
    };
    let (a, b) = both(left, right, emptied, emptied)?;
    both(
        left,
        right,
        |admin| admin.forward(&a, &b),
        |admin| admin.forward(&b, &a),
    )?;
    let ahead = counter(right.zxid) - counter(left.zxid);
    let behind = ahead.unsigned_abs() as usize;
    let nothing = Request::new(2, vec![Field::str("/nothing/here"), Field::Int(-1)]);
    let lagging = if ahead > 0 { &mut *left } else { &mut *right };
    lagging.call(&vec![nothing; behind])?;
    // The configuration's node stays as it is born until a script has changed it.
    let born = |c: &Counters| c.mzxid == 0 && c.aversion == -1 && c.pzxid == 0;
    let count = if born(&a[3]) && born(&b[3]) { 3 } else { 4 };
    let touched = |admin: &mut Admin| {
        admin.touch(count)?;
        admin.counters()
    };
    let (a, b) = both(left, right, touched, touched)?;
    ensure!(
        counter(left.zxid) == counter(right.zxid),
        "not level: zxid {:x} and {:x}",
        left.zxid,
        right.zxid
    );
    ensure!(a == b, "not level: {a:?} and {b:?}");
    Ok((left.zxid, right.zxid))
}

/// The same on both servers, at the same time.
fn both<T: Send>(
    left: &mut Admin,
    right: &mut Admin,
    on_left: impl FnOnce(&mut Admin) -> Result<T>,
    on_right: impl FnOnce(&mut Admin) -> Result<T> + Send,
) -> Result<(T, T)> {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| on_right(right));
        let own = on_left(left);
        let other = other.join().map_err(|_| anyhow::anyhow!("panicked"))?;
        Ok((own?, other?))
    })
}

fn create_and_delete(parent: &str) -> [Request; 2] {
    let path = Field::Str(format!("{}/level", parent.trim_end_matches('/')).into_bytes());
    [
        Request::new(
            1,
            vec![
                path.clone(),
                Field::Buf(vec![]),
                open_acl(31),
                Field::Int(0),
            ],
        ),
        Request::new(2, vec![path, Field::Int(-1)]),
    ]
}
