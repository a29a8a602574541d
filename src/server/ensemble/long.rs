//! What is too long for a link's queue: a piece of the log, or the whole tree. Made as the socket takes it.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use crate::ids::Zxid;
use crate::net::quorum::Pieces;
use crate::pipeline::Pipeline;
use crate::proto::quorum::{PacketKind, QuorumPacket};
use crate::storage::LogHandle;
use crate::storage::snapshot::SnapshotWriter;
use crate::zab::HistoryForm;

/// Bytes that are made at once.
const PIECE_BYTES: usize = 1 << 20;

/// (after, up_to] of the log, as a learner takes it.
pub(super) struct History {
    log: LogHandle,
    after: Zxid,
    up_to: Zxid,
    form: HistoryForm,
}

pub(super) fn history(log: LogHandle, after: Zxid, up_to: Zxid, form: HistoryForm) -> History {
    History {
        log,
        after,
        up_to,
        form,
    }
}

impl Pieces for History {
    fn next(&mut self, out: &mut BytesMut) -> io::Result<bool> {
        let mut reader = self.log.read_from(self.after.0 + 1);
        while self.after < self.up_to {
            let next = reader.next().map_err(io::Error::other)?;
            let Some((zxid, bytes)) = next.filter(|(zxid, _)| *zxid <= self.up_to.0) else {
                return Err(io::Error::other(format!(
                    "the log ends at {} and not at {}",
                    self.after, self.up_to
                )));
            };
            match self.form {
                HistoryForm::Committed => {
                    QuorumPacket::put(out, PacketKind::PROPOSAL, zxid, bytes);
                    QuorumPacket::new(PacketKind::COMMIT, zxid).encode(out);
                }
                HistoryForm::Inform => QuorumPacket::put(out, PacketKind::INFORM, zxid, bytes),
            }
            self.after = Zxid(zxid);
            if out.len() >= PIECE_BYTES {
                break;
            }
        }
        Ok(self.after < self.up_to)
    }
}

/// The tree as it is now, then what the log has between its zxid and `up_to`.
pub(super) struct SnapshotPieces {
    pipeline: Arc<Pipeline>,
    log: LogHandle,
    up_to: Zxid,
    writer: Option<SnapshotWriter>,
    piece: Vec<u8>,
    rest: Option<History>,
    /// Called when all is made.
    done: Box<dyn Fn() + Send>,
}

pub(super) fn snapshot(
    pipeline: Arc<Pipeline>,
    log: LogHandle,
    up_to: Zxid,
    done: Box<dyn Fn() + Send>,
) -> SnapshotPieces {
    SnapshotPieces {
        pipeline,
        log,
        up_to,
        done,
        writer: None,
        piece: Vec::new(),
        rest: None,
    }
}

impl Pieces for SnapshotPieces {
    fn next(&mut self, out: &mut BytesMut) -> io::Result<bool> {
        let more = match &mut self.rest {
            Some(rest) => rest.next(out)?,
            None => self.next_of_tree(out),
        };
        if !more {
            (self.done)();
        }
        Ok(more)
    }
}

impl SnapshotPieces {
    fn next_of_tree(&mut self, out: &mut BytesMut) -> bool {
        // Held for one piece: writers wait for no more than that.
        let tree = self.pipeline.tree();
        let writer = self.writer.get_or_insert_with(|| {
            let writer = SnapshotWriter::packet(&tree);
            QuorumPacket::new(PacketKind::SNAP, writer.zxid().0).encode(out);
            writer
        });
        self.piece.clear();
        let more = writer.fill(&tree, PIECE_BYTES / 4, &mut self.piece);
        out.extend_from_slice(&self.piece);
        if more {
            return true;
        }
        let is_behind = writer.zxid() < self.up_to;
        if is_behind {
            self.rest = Some(history(
                self.log.clone(),
                writer.zxid(),
                self.up_to,
                HistoryForm::Committed,
            ));
        }
        is_behind
    }
}
