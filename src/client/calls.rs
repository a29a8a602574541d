//! A call for each operation. Paths are checked first, as Java's client does; what is wrong with one is text.

use jute::{Buffer, Text};
use serde::Serialize;

use super::session::auth_body;
use super::watches::Registration;
use super::{Client, Failure, Pending, WatchKind, path};
use crate::proto::client::*;
use crate::proto::{Acl, ErrorCode, OpCode, Stat};

/// Why a call failed: said by the server, or seen here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    Path(String),
    Server(Failure),
}

type Call<T> = Result<T, CallError>;

/// Java's numbers of `CreateMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateKind {
    pub ephemeral: bool,
    pub sequential: bool,
    pub container: bool,
    pub ttl_ms: Option<i64>,
}

impl CreateKind {
    fn flags(self) -> i32 {
        match (self.ttl_ms, self.container) {
            (Some(_), _) => 5 + i32::from(self.sequential),
            (None, true) => 4,
            (None, false) => i32::from(self.ephemeral) + 2 * i32::from(self.sequential),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    pub path: String,
}

/// Kinds that a request to remove watches is about, with the number it has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    Children,
    Data,
    Any,
    Persistent,
    Recursive,
}

impl Removed {
    fn on_wire(self) -> (i32, &'static [WatchKind]) {
        use WatchKind::*;
        match self {
            Removed::Children => (1, &[Children]),
            Removed::Data => (2, &[Data, Exists]),
            Removed::Any => (3, &[Children, Data, Exists, Persistent, Recursive]),
            Removed::Persistent => (4, &[Persistent]),
            Removed::Recursive => (5, &[Recursive]),
        }
    }
}

impl Client {
    /// The path as the server knows it.
    fn inside(&self, path: &str) -> Call<String> {
        path::validate(path).map_err(CallError::Path)?;
        Ok(self.below_chroot(path))
    }

    fn below_chroot(&self, path: &str) -> String {
        match (&self.chroot, path) {
            (None, path) => path.to_owned(),
            (Some(chroot), "/") => chroot.clone(),
            (Some(chroot), path) => format!("{chroot}{path}"),
        }
    }

    fn call<T>(
        &self,
        op: OpCode,
        path: Option<&str>,
        request: &impl Serialize,
        watch: Option<Registration>,
        read: impl FnOnce(&[u8]) -> Result<T, jute::Error>,
    ) -> Call<T> {
        let failure = |code| {
            CallError::Server(Failure {
                code,
                path: path.map(str::to_owned),
            })
        };
        let marshalling = |_| failure(ErrorCode::MARSHALLING_ERROR);
        let body = jute::to_vec(request).map_err(marshalling)?;
        let answer = self.send(op, body, watch).wait().map_err(failure)?;
        read(&answer).map_err(marshalling)
    }

    pub fn create(
        &self,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl<'_>],
        kind: CreateKind,
    ) -> Call<Created> {
        // A sequential node's name is made by the server: a path that ends in a slash is one.
        if kind.sequential {
            path::validate(&format!("{path}1")).map_err(CallError::Path)?;
        } else {
            path::validate(path).map_err(CallError::Path)?;
        }
        let server_path = self.below_chroot(path);
        let acl = not_empty(acl)?;
        let data = data.map_or(Buffer::NULL, Buffer::from);
        let read = |answer: &[u8]| {
            let created: CreateResponse<'_> = jute::from_slice(answer)?;
            let path = created.path.or_empty();
            let shown = match &self.chroot {
                Some(chroot) => path.strip_prefix(chroot.as_str()).unwrap_or(path),
                None => path,
            };
            Ok(Created {
                path: shown.to_owned(),
            })
        };
        match kind.ttl_ms {
            Some(ttl) => {
                let request = CreateTtlRequest {
                    path: server_path.into(),
                    data,
                    acl: Some(acl),
                    flags: kind.flags(),
                    ttl,
                };
                self.call(OpCode::CREATE_TTL, Some(path), &request, None, read)
            }
            None => {
                let request = CreateRequest {
                    path: server_path.into(),
                    data,
                    acl: Some(acl),
                    flags: kind.flags(),
                };
                let op = match kind.container {
                    true => OpCode::CREATE_CONTAINER,
                    false => OpCode::CREATE,
                };
                self.call(op, Some(path), &request, None, read)
            }
        }
    }

    pub fn delete(&self, path: &str, version: i32) -> Call<()> {
        let request = DeleteRequest {
            path: self.inside(path)?.into(),
            version,
        };
        self.call(OpCode::DELETE, Some(path), &request, None, |_| Ok(()))
    }

    pub fn get_data(&self, path: &str, watch: bool) -> Call<(Option<Vec<u8>>, Stat)> {
        let server_path = self.inside(path)?;
        self.get_data_at(path, server_path, watch)
    }

    /// What is outside of every chroot.
    pub fn get_config(&self, watch: bool) -> Call<(Option<Vec<u8>>, Stat)> {
        const CONFIG: &str = "/zookeeper/config";
        self.get_data_at(CONFIG, CONFIG.to_owned(), watch)
    }

    fn get_data_at(
        &self,
        path: &str,
        server_path: String,
        watch: bool,
    ) -> Call<(Option<Vec<u8>>, Stat)> {
        let registration = watch.then(|| Registration::Add(WatchKind::Data, server_path.clone()));
        let request = GetDataRequest {
            path: server_path.into(),
            watch,
        };
        self.call(
            OpCode::GET_DATA,
            Some(path),
            &request,
            registration,
            |answer| {
                let answer: GetDataResponse<'_> = jute::from_slice(answer)?;
                Ok((answer.data.as_bytes().map(<[u8]>::to_vec), answer.stat))
            },
        )
    }

    pub fn set_data(&self, path: &str, data: &[u8], version: i32) -> Call<Stat> {
        let request = SetDataRequest {
            path: self.inside(path)?.into(),
            data: data.into(),
            version,
        };
        self.call(OpCode::SET_DATA, Some(path), &request, None, |answer| {
            jute::from_slice::<SetDataResponse>(answer).map(|answer| answer.stat)
        })
    }

    pub fn exists(&self, path: &str, watch: bool) -> Call<Option<Stat>> {
        let server_path = self.inside(path)?;
        let registration = watch.then(|| Registration::AddExists(server_path.clone()));
        let request = ExistsRequest {
            path: server_path.into(),
            watch,
        };
        let found = self.call(
            OpCode::EXISTS,
            Some(path),
            &request,
            registration,
            |answer| jute::from_slice::<ExistsResponse>(answer).map(|answer| answer.stat),
        );
        match found {
            Err(CallError::Server(Failure {
                code: ErrorCode::NO_NODE,
                ..
            })) => Ok(None),
            found => found.map(Some),
        }
    }

    pub fn get_children(&self, path: &str, watch: bool) -> Call<(Vec<String>, Stat)> {
        let server_path = self.inside(path)?;
        let registration =
            watch.then(|| Registration::Add(WatchKind::Children, server_path.clone()));
        let request = GetChildren2Request {
            path: server_path.into(),
            watch,
        };
        let op = OpCode::GET_CHILDREN2;
        self.call(op, Some(path), &request, registration, |answer| {
            let answer: GetChildren2Response<'_> = jute::from_slice(answer)?;
            Ok((texts(answer.children), answer.stat))
        })
    }

    pub fn get_acl(&self, path: &str) -> Call<(Vec<Acl<'static>>, Stat)> {
        let request = GetAclRequest {
            path: self.inside(path)?.into(),
        };
        self.call(OpCode::GET_ACL, Some(path), &request, None, |answer| {
            let answer: GetAclResponse<'_> = jute::from_slice(answer)?;
            let acl = answer.acl.into_iter().map(Acl::into_owned).collect();
            Ok((acl, answer.stat))
        })
    }

    pub fn set_acl(&self, path: &str, acl: &[Acl<'_>], version: i32) -> Call<Stat> {
        let path_inside = self.inside(path)?;
        let request = SetAclRequest {
            path: path_inside.into(),
            acl: Some(not_empty(acl)?),
            version,
        };
        self.call(OpCode::SET_ACL, Some(path), &request, None, |answer| {
            jute::from_slice::<SetAclResponse>(answer).map(|answer| answer.stat)
        })
    }

    pub fn sync(&self, path: &str) -> Call<()> {
        let request = SyncRequest {
            path: self.inside(path)?.into(),
        };
        self.call(OpCode::SYNC, Some(path), &request, None, |_| Ok(()))
    }

    pub fn get_ephemerals(&self, prefix: &str) -> Call<Vec<String>> {
        let request = GetEphemeralsRequest {
            prefix_path: self.inside(prefix)?.into(),
        };
        let op = OpCode::GET_EPHEMERALS;
        self.call(op, Some(prefix), &request, None, |answer| {
            let answer: GetEphemeralsResponse<'_> = jute::from_slice(answer)?;
            Ok(texts(answer.ephemerals))
        })
    }

    pub fn get_all_children_number(&self, path: &str) -> Call<i32> {
        let request = GetAllChildrenNumberRequest {
            path: self.inside(path)?.into(),
        };
        let op = OpCode::GET_ALL_CHILDREN_NUMBER;
        self.call(op, Some(path), &request, None, |answer| {
            jute::from_slice::<GetAllChildrenNumberResponse>(answer).map(|a| a.total_number)
        })
    }

    pub fn who_am_i(&self) -> Call<Vec<(String, String)>> {
        self.call(OpCode::WHO_AM_I, None, &(), None, |answer| {
            let answer: WhoAmIResponse<'_> = jute::from_slice(answer)?;
            let pair = |info: &crate::proto::ClientInfo<'_>| {
                let text = |text: &Text<'_>| text.or_empty().to_owned();
                (text(&info.auth_scheme), text(&info.user))
            };
            Ok(answer.client_info.iter().map(pair).collect())
        })
    }

    pub fn add_watch(&self, path: &str, kind: WatchKind) -> Call<()> {
        let server_path = self.inside(path)?;
        let request = AddWatchRequest {
            path: server_path.as_str().into(),
            mode: i32::from(kind == WatchKind::Recursive),
        };
        let registration = Some(Registration::Add(kind, server_path.clone()));
        let op = OpCode::ADD_WATCH;
        self.call(op, Some(path), &request, registration, |_| Ok(()))
    }

    pub fn remove_watches(&self, path: &str, what: Removed, local: bool) -> Call<()> {
        let server_path = self.inside(path)?;
        let (kind, kinds) = what.on_wire();
        let request = RemoveWatchesRequest {
            path: server_path.as_str().into(),
            kind,
        };
        let registration = Some(Registration::Remove {
            kinds,
            path: server_path.clone(),
            local,
        });
        let op = OpCode::REMOVE_WATCHES;
        self.call(op, Some(path), &request, registration, |_| Ok(()))
    }

    pub fn reconfigure(
        &self,
        joining: Option<&str>,
        leaving: Option<&str>,
        members: Option<&str>,
        version: i64,
    ) -> Call<(Vec<u8>, Stat)> {
        let request = ReconfigRequest {
            joining_servers: joining.into(),
            leaving_servers: leaving.into(),
            new_members: members.into(),
            cur_config_id: version,
        };
        self.call(OpCode::RECONFIG, None, &request, None, |answer| {
            let answer: GetDataResponse<'_> = jute::from_slice(answer)?;
            Ok((answer.data.or_empty().to_vec(), answer.stat))
        })
    }

    /// Asks for nothing back: a proof that is not accepted ends the session.
    pub fn add_auth(&self, scheme: &str, auth: &[u8]) {
        if let Ok(body) = auth_body(scheme, auth) {
            drop(self.send(OpCode::AUTH, body, None));
        }
    }

    /// Deletes all of them or none, and does not wait for it.
    pub fn begin_delete_all(&self, paths: &[String]) -> Batch {
        let mut body = Vec::new();
        let written = paths.iter().try_for_each(|path| {
            jute::write(&mut body, &MultiHeader::request(OpCode::DELETE))?;
            let path = self.below_chroot(path).into();
            jute::write(&mut body, &DeleteRequest { path, version: -1 })
        });
        match written.and_then(|()| jute::write(&mut body, &MultiHeader::END)) {
            Ok(()) => Batch(Some(self.send(OpCode::MULTI, body, None))),
            Err(_) => Batch(None),
        }
    }
}

/// The original refuses an empty list before it asks a server, and names no path.
fn not_empty(acl: &[Acl<'_>]) -> Call<Vec<Acl<'static>>> {
    if acl.is_empty() {
        return Err(CallError::Server(Failure {
            code: ErrorCode::INVALID_ACL,
            path: None,
        }));
    }
    Ok(acl.iter().cloned().map(Acl::into_owned).collect())
}

/// A multi that was sent.
pub struct Batch(Option<Pending>);

impl Batch {
    /// Whether all of it was done.
    pub fn is_done(self) -> bool {
        let Some(pending) = self.0 else { return false };
        let Ok(answer) = pending.wait() else {
            return false;
        };
        // One that failed begins with the error of an entry.
        let header: Result<MultiHeader, _> = jute::from_slice(&answer);
        header.is_ok_and(|header| header.op != OpCode::ERROR || header.done)
    }
}

fn texts<'a>(list: Vec<Text<'a>>) -> Vec<String> {
    let owned = |text: Text<'a>| text.into_inner().unwrap_or_default().into_owned();
    list.into_iter().map(owned).collect()
}
