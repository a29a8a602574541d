//! The files of a member that may be reconfigured, as its disk writes them.
//!
//! Must not know why a configuration is written, or when. Answers to the file part of `QuorumPeer.setQuorumVerifier`
//! and `setLastSeenQuorumVerifier`; unlike there a write that fails ends the server, as one of the log does.

use std::io;
use std::path::PathBuf;

use crate::config::Config;
use crate::config::dynamic::DynamicFiles;
use crate::ids::ServerId;
use crate::membership::Membership;
use crate::server::ServerError;
use crate::storage::StorageError;

pub(super) struct ConfigFiles {
    files: DynamicFiles,
    place: PathBuf,
    /// Of the newest configuration that was written, in force or not.
    seen_version: i64,
}

impl ConfigFiles {
    /// `None` where reconfiguration is off. Keeps a copy of a zoo.cfg that still lists the members, as it will be
    /// rewritten; and finds out before anything else happens whether files can be written there at all.
    pub fn of(config: &Config, id: ServerId) -> Result<Option<ConfigFiles>, ServerError> {
        if !config.reconfig_enabled {
            return Ok(None);
        }
        let Some(place) = config.source.path.clone() else {
            let why = "reconfigEnabled=true needs a configuration file to write to";
            return Err(ServerError::Config(why.to_owned()));
        };
        let files = DynamicFiles::new(place.clone(), id);
        let tried = match config.ensemble.dynamic_config_file {
            None => files.back_up(),
            Some(_) => files.try_directory(),
        };
        tried.map_err(|error| {
            ServerError::Config(format!(
                "reconfigEnabled=true, but the directory of {} cannot be written: {error}",
                place.display()
            ))
        })?;
        let seen_version = config.last_seen.as_ref().map_or(0, |seen| seen.version);
        Ok(Some(ConfigFiles {
            files,
            place,
            seen_version: seen_version.max(config.membership.version),
        }))
    }

    /// Proposed.
    pub fn see(&mut self, members: &Membership) -> Result<(), StorageError> {
        let written = self.files.write_seen(members);
        self.seen_version = members.version;
        written.map_err(|error| self.failed("keeping the proposed members", &error))
    }

    /// In force.
    pub fn commit(&mut self, members: &Membership) -> Result<(), StorageError> {
        self.seen_version = self.seen_version.max(members.version);
        let written = self.files.write_committed(members, self.seen_version);
        written.map_err(|error| self.failed("writing the new members", &error))
    }

    fn failed(&self, doing: &'static str, error: &io::Error) -> StorageError {
        StorageError::Io {
            doing,
            place: self.place.clone(),
            why: error.to_string(),
        }
    }
}
