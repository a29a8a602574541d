//! A member that finds no leader serves clients that only want to read, after a while. Answers to the part of
//! `QuorumPeer.run` that starts a `ReadOnlyZooKeeperServer`.

use std::sync::Arc;
use std::time::Duration;

use super::{Core, Later, Member};
use crate::config::Config;
use crate::ids::Zxid;
use crate::zab::Status;

/// Elections that end well do so sooner.
const GRACE_MIN: Duration = Duration::from_secs(2);

pub(super) fn grace(config: &Config) -> Option<Duration> {
    let tick = Duration::from_millis(u64::from(config.tick_ms));
    config.read_only_mode.then(|| GRACE_MIN.max(tick))
}

impl Member {
    /// From time to time: so much is committed, whatever comes.
    pub(in crate::server) fn note_committed(&self) {
        let zxid = self.pipeline.tree().applied_zxid();
        self.epochs.lock().note_committed(zxid.0);
    }

    /// Without a leader nobody says how much of the log counts. What was known to count before a restart still does.
    pub(super) fn serve_read_only(&self) {
        let committed = self.epochs.lock().committed();
        let end = self
            .log
            .runs()
            .ok()
            .and_then(|runs| Some(runs.runs.last()?.1));
        if let (Some(committed), Some(end)) = (committed, end)
            && committed <= end
            && let Err(e) = self.pipeline.deliver(Zxid(committed))
        {
            crate::server::fatal(&e);
        }
        tracing::info!("Read-only server started");
        self.pipeline.serve_read_only();
    }

    /// Called with every change of the status: what was waited for before is not any more.
    pub(super) fn seclude(self: &Arc<Self>, core: &mut Core, status: Status) {
        if let Some(waiting) = core.secluding.take() {
            waiting.abort();
        }
        let Some(grace) = self.settings.read_only_after else {
            return;
        };
        if status != Status::Looking {
            return;
        }
        let member = self.clone();
        let task = self.runtime.spawn(async move {
            tokio::time::sleep(grace).await;
            let mut core = member.core.lock();
            // It may have found a leader in this very moment.
            if core.peer.status() == Status::Looking {
                core.later.push_back(Later::ServeReadOnly);
            }
            member.finish(core);
        });
        core.secluding = Some(task.abort_handle());
    }
}
