//! What a peer wants written, in its order: all of it goes through the log's thread.

use std::sync::Arc;

use super::config_files::ConfigFiles;
use super::{Core, Member};
use crate::ids::Zxid;
use crate::pipeline::Wake;
use crate::storage::snapshot::SnapshotReader;
use crate::storage::{Log, StorageError};
use crate::zab::{Input, Write};

impl Member {
    /// The log's thread is woken once for all that came together.
    pub(super) fn append(&self, core: &mut Core) {
        if !core.appended.is_empty() {
            core.wake = match (core.wake, self.pipeline.append(&core.appended)) {
                (Wake::Nobody, wake) => wake,
                _ => Wake::Disk,
            };
            core.appended.clear();
        }
    }

    /// From what comes next on. What came before may be relied on only when [`Member::disk_is_ready`].
    pub(super) fn wait_for_the_disk(&self, core: &mut Core, is_eager: bool) {
        if self.settings.observes_lazily {
            self.append(core);
            core.has_log_jobs = true;
            self.pipeline
                .log_job(Box::new(move |log| log.set_eager(is_eager)));
        }
    }

    /// Everything is as durable as it has to be in the role of now. To be awaited before anybody is told what is here:
    /// an observer that becomes a voter acknowledges what it has logged before.
    pub(super) async fn disk_is_ready(&self) {
        if self.settings.observes_lazily {
            let (done, ready) = tokio::sync::oneshot::channel();
            let job = move |_: &mut Log| {
                let _ = done.send(());
                Ok(())
            };
            self.pipeline.log_job(Box::new(job));
            // Without a disk the process ends.
            let _ = ready.await;
        }
    }

    /// All but appends.
    pub(super) fn persist(self: &Arc<Self>, write: Write) {
        let snapshot = match &write {
            // Taken now: the link may be gone when its turn comes.
            Write::Snapshot { link, .. } => self.snapshots.remove(*link),
            _ => None,
        };
        let member = self.clone();
        self.pipeline.log_job(Box::new(move |log| {
            let mark = write.mark();
            member.write(log, write, snapshot)?;
            member.input(Input::Persisted(mark));
            Ok(())
        }));
    }

    fn write(
        &self,
        log: &mut Log,
        write: Write,
        snapshot: Option<SnapshotReader>,
    ) -> Result<(), StorageError> {
        match write {
            Write::Append(_) => unreachable!("these are gathered and go to the log's thread"),
            Write::AcceptedEpoch(epoch) => self.epochs.lock().set_accepted(epoch.0),
            Write::CurrentEpoch(epoch) => self.epochs.lock().set_current(epoch.0),
            Write::Cut(zxid) => {
                log.truncate(zxid.0)?;
                self.pipeline.forget_logged_after(zxid);
                Ok(())
            }
            Write::Snapshot { zxid, .. } => {
                let snapshot = snapshot.expect("asked for once its stream is complete");
                self.install(log, snapshot, zxid)
            }
            Write::SeenConfig(members) => self.keep(|files| files.see(&members)),
            Write::CommittedConfig(members) => self.keep(|files| files.commit(&members)),
        }
    }

    /// Without reconfiguration the file that the operator wrote is all there is.
    fn keep(
        &self,
        write: impl FnOnce(&mut ConfigFiles) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        match &self.config_files {
            Some(files) => write(&mut files.lock()),
            None => Ok(()),
        }
    }

    /// What a leader sent takes the place of tree, state and log.
    fn install(
        &self,
        log: &mut Log,
        snapshot: SnapshotReader,
        zxid: Zxid,
    ) -> Result<(), StorageError> {
        let snapshot = snapshot.finish(zxid).map_err(|e| StorageError::Restore {
            place: "the snapshot that the leader sent".into(),
            why: e.to_string(),
        })?;
        self.pipeline
            .install(snapshot.tree, zxid, &self.places, log, &self.state)
    }
}
