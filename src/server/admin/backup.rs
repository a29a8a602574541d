//! Snapshots for operators, in Java's format, and back. Answers to `ZooKeeperServer.takeSnapshot` and
//! `restoreFromSnapshot`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::ids::Zxid;
use crate::net::http::Body;
use crate::pipeline::Pipeline;
use crate::storage::snapshot::{Limits, SnapshotReader, SnapshotWriter};
use crate::storage::{Places, State};
use crate::tree::Tree;

/// Bytes that are made under one hold of the tree's lock.
const PIECE_BYTES: usize = 256 << 10;
const CHECKPOINT_WAIT_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(20);

pub(in crate::server) struct Backup {
    pub pipeline: Arc<Pipeline>,
    pub state: Arc<State>,
    /// `None`: a member of an ensemble, whose tree is not its own to replace.
    pub places: Option<Places>,
    /// Where there is room for a snapshot while it is sent.
    pub dir: PathBuf,
    pub limits: Limits,
    pub extended_types: bool,
    pub has_digest: bool,
    pub at_work: AtomicBool,
}

pub(super) struct Taken {
    pub zxid: Zxid,
    pub bytes: u64,
    /// Stands at its beginning, and has no name any more.
    pub file: Option<File>,
}

/// Whoever makes one has it; the next has to wait for a turn.
struct Turn<'a>(&'a AtomicBool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Backup {
    fn turn(&self) -> io::Result<Turn<'_>> {
        if self.at_work.swap(true, Ordering::AcqRel) {
            return Err(io::Error::other("another one is being made or restored"));
        }
        Ok(Turn(&self.at_work))
    }

    /// Puts the tree on disk as it is now; to stream it, also in Java's format. Blocks.
    pub(super) fn take(&self, streaming: bool) -> io::Result<Taken> {
        let _turn = self.turn()?;
        if streaming {
            self.write_file()
        } else {
            self.checkpoint()
        }
    }

    fn write_file(&self) -> io::Result<Taken> {
        let path = self
            .dir
            .join(format!("snapshot-{}.tmp", std::process::id()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)?;
        // Whatever happens next, it takes no room for longer than it is open.
        fs::remove_file(&path)?;
        let (mut writer, installs) = {
            let tree = self.pipeline.tree();
            (SnapshotWriter::file(&tree), self.pipeline.install_count())
        };
        let zxid = writer.zxid();
        let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
        let mut more = true;
        while more {
            piece.clear();
            {
                let tree = self.pipeline.tree();
                if self.pipeline.install_count() != installs {
                    return Err(io::Error::other("a leader replaced the tree meanwhile"));
                }
                more = writer.fill(&tree, PIECE_BYTES, &mut piece);
            }
            file.write_all(&piece)?;
        }
        let bytes = file.stream_position()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Taken {
            zxid,
            bytes,
            file: Some(file),
        })
    }

    fn checkpoint(&self) -> io::Result<Taken> {
        let wanted = self.pipeline.tree().applied_zxid();
        self.pipeline.ask_for_checkpoint();
        let began = Instant::now();
        while self.state.durable_zxid() < wanted.0 {
            if began.elapsed() > CHECKPOINT_WAIT_MAX {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(LOOK);
        }
        Ok(Taken {
            zxid: Zxid(self.state.durable_zxid()),
            bytes: self.pipeline.tree().data_bytes(),
            file: None,
        })
    }

    /// Why nothing can be restored here.
    pub fn refuses(&self) -> Option<&'static str> {
        self.places.is_none().then_some(
            "a member of an ensemble does not take a tree that the others have not got: stop all of them, import the \
             snapshot on each, and start them",
        )
    }

    /// Reads a snapshot and puts it in the place of the tree.
    pub async fn restore(&self, body: &mut Body<'_>) -> io::Result<Zxid> {
        let _turn = self.turn()?;
        let tree = Tree::bare(self.extended_types);
        let tree = match self.has_digest {
            true => tree,
            false => tree.without_digest(),
        };
        let mut reader = SnapshotReader::file(tree, self.limits);
        while let Some(piece) = body.next().await? {
            reader.push(&piece).map_err(io::Error::other)?;
        }
        let (pipeline, state) = (self.pipeline.clone(), self.state.clone());
        let places = self.places.clone();
        let put = move || {
            let (snapshot, zxid) = reader.finish_file().map_err(io::Error::other)?;
            let places = places.ok_or_else(|| io::Error::other("not alone"))?;
            pipeline
                .restore(snapshot.tree, zxid, places, state)
                .map_err(io::Error::other)?;
            Ok(zxid)
        };
        tokio::task::spawn_blocking(put)
            .await
            .map_err(io::Error::other)?
    }
}
