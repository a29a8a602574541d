//! A server that answers at once and keeps nothing: no session, no tree, no log. What it reaches under some load is what
//! the kernel and the generator leave room for; a server with work to do can only come near it.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, ensure};

use crate::conn::Conn;
use crate::engine::SCRATCH_BYTES;
use crate::epoll::Epoll;
use crate::wire::{self, err, op};

const LISTENER: usize = 0;
const STAT_BYTES: usize = 68;

struct Peer {
    conn: Conn,
    is_greeted: bool,
    watches: bool,
    ends: bool,
}

/// Serves until the process is ended. Nodes have `data`, whatever was written.
pub fn serve(address: SocketAddr, data: &[u8]) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot bind {address}"))?;
    listener.set_nonblocking(true)?;
    let mut epoll = Epoll::new()?;
    epoll.add(listener.as_raw_fd(), LISTENER, false)?;
    let mut peers: Vec<Option<Peer>> = vec![None];
    let mut free = Vec::new();
    let mut scratch = vec![0; SCRATCH_BYTES];
    let mut ready = Vec::new();
    let mut notifications = Vec::new();
    loop {
        epoll.wait(1000, &mut ready)?;
        for &(token, readable, _) in &ready {
            if token == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let token = free.pop().unwrap_or(peers.len());
                    epoll.add(stream.as_raw_fd(), token, false)?;
                    if token == peers.len() {
                        peers.push(None);
                    }
                    peers[token] = Some(Peer {
                        conn: Conn::new(stream),
                        is_greeted: false,
                        watches: false,
                        ends: false,
                    });
                }
                continue;
            }
            let Some(peer) = &mut peers[token] else {
                continue;
            };
            let still_open = !readable || peer.hear(&mut scratch, data, &mut notifications);
            let still_open = still_open && peer.conn.flush(&epoll, token).is_ok() && !peer.ends;
            if !still_open {
                peers[token] = None;
                free.push(token);
            }
        }
        if notifications.is_empty() {
            continue;
        }
        for (token, peer) in peers.iter_mut().enumerate() {
            let Some(peer) = peer.as_mut().filter(|peer| peer.watches) else {
                continue;
            };
            peer.conn.out.extend_from_slice(&notifications);
            // Who is gone is heard of when it is read.
            let _ = peer.conn.flush(&epoll, token);
        }
        notifications.clear();
    }
}

impl Peer {
    /// `false` when the other side has gone, or says what cannot be read.
    fn hear(&mut self, scratch: &mut [u8], data: &[u8], notifications: &mut Vec<u8>) -> bool {
        let Peer {
            conn,
            is_greeted,
            watches,
            ends,
        } = self;
        let heard = conn.receive(scratch, |conn, frame| {
            if !std::mem::replace(is_greeted, true) {
                wire::welcome(&mut conn.out);
                return Ok(());
            }
            ensure!(frame.len() >= 8, "a request without a header");
            let (xid, what, body) = (
                wire::i32_at(frame, 0)?,
                wire::i32_at(frame, 4)?,
                &frame[8..],
            );
            let code = match what {
                op::GET_CHILDREN => err::NO_NODE,
                _ => 0,
            };
            let path = || wire::str_at(body, 0).map(|(path, _)| path);
            match what {
                op::GET_DATA => wire::answer(&mut conn.out, xid, code, |out| {
                    wire::put_bytes(out, data);
                    out.extend_from_slice(&[0; STAT_BYTES]);
                }),
                op::EXISTS | op::SET_DATA => wire::answer(&mut conn.out, xid, code, |out| {
                    out.extend_from_slice(&[0; STAT_BYTES]);
                }),
                op::CREATE => {
                    let path = path()?;
                    wire::answer(&mut conn.out, xid, code, |out| {
                        wire::put_bytes(out, path.as_bytes());
                    });
                }
                // The first result tells that all is well, and nobody reads on.
                op::MULTI => wire::answer(&mut conn.out, xid, code, |out| {
                    out.extend_from_slice(&op::CREATE.to_be_bytes());
                }),
                _ => wire::answer(&mut conn.out, xid, code, |_| ()),
            }
            match what {
                op::SET_DATA => wire::changed(notifications, path()?),
                op::ADD_WATCH => *watches = true,
                op::CLOSE => *ends = true,
                _ => {}
            }
            Ok(())
        });
        heard.unwrap_or(false)
    }
}
