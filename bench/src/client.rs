//! A blocking client for what happens before and after a measurement: making the nodes that a work needs and
//! removing everything again. Speed matters only so far as millions of nodes must be practical.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::conn::read_frame;
use crate::wire::{self, body, err, op};

/// Requests sent before their replies are read. Both directions of such a batch fit into socket buffers.
const IN_FLIGHT_MAX: usize = 64;
const DELETES_PER_MULTI: usize = 100;

pub struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    xid: i32,
}

impl Client {
    /// A session at the first of the servers.
    pub fn open(servers: &[SocketAddr], timeout_ms: i32) -> Result<Client> {
        let server = servers.first().context("no server is named")?;
        let mut writer = TcpStream::connect_timeout(server, Duration::from_secs(10))
            .with_context(|| format!("cannot connect to {server}"))?;
        writer.set_nodelay(true)?;
        writer.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut reader = BufReader::with_capacity(1 << 18, writer.try_clone()?);
        let mut hello = Vec::new();
        wire::connect(&mut hello, timeout_ms);
        writer.write_all(&hello)?;
        let frame = read_frame(&mut reader).context("no answer to a session's handshake")?;
        ensure!(
            wire::granted_timeout_ms(&frame)? > 0,
            "the server refused a new session"
        );
        Ok(Client {
            reader,
            writer,
            xid: 0,
        })
    }

    /// Sends a request for every item, pipelined, and hands each reply (error, body) on.
    pub fn each<T>(
        &mut self,
        items: &[T],
        mut encode: impl FnMut(&mut Vec<u8>, i32, &T),
        mut answer: impl FnMut(&T, i32, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut out = Vec::new();
        for batch in items.chunks(IN_FLIGHT_MAX) {
            let first = self.xid + 1;
            for item in batch {
                self.xid += 1;
                encode(&mut out, self.xid, item);
            }
            self.writer.write_all(&out)?;
            out.clear();
            for (item, xid) in batch.iter().zip(first..) {
                let frame =
                    read_frame(&mut self.reader).context("no reply while preparing or cleaning")?;
                let reply = wire::reply(&frame)?;
                ensure!(reply.xid == xid, "reply {} where {xid} was due", reply.xid);
                answer(item, reply.err, reply.body)?;
            }
        }
        Ok(())
    }

    /// Creates the nodes that are not there yet.
    pub fn create_all(&mut self, paths: &[String], data: &[u8]) -> Result<()> {
        self.each(
            paths,
            |out, xid, path| wire::create(out, xid, path, data, 0),
            |path, code, _| match code {
                0 | err::NODE_EXISTS => Ok(()),
                _ => bail!("cannot create {path}: error {code}"),
            },
        )
    }

    /// Removes a node with all that is below it. Nothing there is fine.
    pub fn purge(&mut self, root: &str) -> Result<()> {
        let mut found = Vec::new();
        let mut level = vec![root.to_string()];
        while !level.is_empty() {
            let mut below = Vec::new();
            self.each(
                &level,
                |out, xid, path| wire::read(out, xid, op::GET_CHILDREN, path, false),
                |path, code, reply| {
                    match code {
                        0 => below.extend(
                            wire::strings(reply)?
                                .iter()
                                .map(|name| format!("{path}/{name}")),
                        ),
                        err::NO_NODE => return Ok(()),
                        _ => bail!("cannot list {path}: error {code}"),
                    }
                    Ok(())
                },
            )?;
            found.append(&mut level);
            level = below;
        }
        found.reverse();
        let batches: Vec<&[String]> = found.chunks(DELETES_PER_MULTI).collect();
        let mut failed = Vec::new();
        self.each(
            &batches,
            |out, xid, paths| {
                wire::multi(out, xid, |o| {
                    for path in *paths {
                        wire::multi_part(o, op::DELETE);
                        body::delete(o, path);
                    }
                })
            },
            |paths, code, reply| {
                if wire::multi_error(code, reply)? != 0 {
                    failed.extend_from_slice(paths);
                }
                Ok(())
            },
        )?;
        self.each(
            &failed,
            |out, xid, path| wire::delete(out, xid, path),
            |path, code, _| match code {
                0 | err::NO_NODE => Ok(()),
                _ => bail!("cannot delete {path}: error {code}"),
            },
        )
    }

    pub fn close(mut self) -> Result<()> {
        let mut bye = Vec::new();
        wire::close(&mut bye, i32::MAX);
        self.writer.write_all(&bye)?;
        read_frame(&mut self.reader).context("no answer to the close of a session")?;
        Ok(())
    }
}
