//! Another tree for a server alone, while it runs: an operator's backup takes the place of what is there, on disk and in
//! memory. Answers to `ZooKeeperServer.restoreFromSnapshot`, which changes the memory alone.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::Pipeline;
use super::role::Role;
use crate::ids::Zxid;
use crate::storage::{Log, Places, State, StorageError};
use crate::tree::Tree;

/// What was written before is applied within this time, or the server has a problem of its own.
const SETTLED_MAX: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Clients are sent away and come back to the other tree; what was acknowledged before is gone. Blocks. An error
    /// says that nothing changed.
    pub fn restore(
        self: &Arc<Self>,
        new: Tree,
        zxid: Zxid,
        places: Places,
        state: Arc<State>,
    ) -> Result<(), String> {
        if self.role() != Role::Alone {
            return Err("only a server that serves alone can be given another tree".to_owned());
        }
        self.rest();
        let (done, installed) = sync_channel(1);
        let pipeline = self.clone();
        self.log_job(Box::new(move |log| {
            let result = pipeline.replace_settled(new, zxid, &places, log, &state);
            let told = result.as_ref().map(|done| *done).map_err(|e| e.to_string());
            let _ = done.send(told);
            result.map(drop)
        }));
        let replaced = installed.recv().map_err(|_| "the server is stopping")??;
        let at = self.tree().applied_zxid();
        self.resume_alone(at);
        match replaced {
            true => Ok(()),
            false => Err("what was written before is still being applied".to_owned()),
        }
    }

    /// Behind everything that was written. False if that takes too long.
    fn replace_settled(
        &self,
        new: Tree,
        zxid: Zxid,
        places: &Places,
        log: &mut Log,
        state: &State,
    ) -> Result<bool, StorageError> {
        let began = Instant::now();
        while self.tree().applied_zxid().0 < log.last_zxid() {
            if began.elapsed() > SETTLED_MAX {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.install(new, zxid, places, log, state)?;
        Ok(true)
    }
}
