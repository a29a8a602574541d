//! The files that a reconfiguration writes beside zoo.cfg: the members in force, the members proposed, and zoo.cfg
//! itself with a pointer to the former.
//!
//! What stands in them is decided by functions without I/O; [`DynamicFiles`] replaces files. Answers to
//! `QuorumPeerConfig.writeDynamicConfig`, `editStaticConfig` and `backupOldConfig`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::properties::{self, Entry};
use crate::ids::ServerId;
use crate::membership::Membership;
use crate::storage::small;

/// Names end in the version, which the file does not hold: `zoo.cfg.dynamic.100000000`.
pub fn committed_text(members: &Membership) -> String {
    members.file_lines().join("\n")
}

/// As the committed one's, with the version, which `zoo.cfg.dynamic.next` does not have in its name.
pub fn seen_text(members: &Membership) -> String {
    let mut lines = members.file_lines();
    lines.push(format!("version={:x}", members.version));
    // Bytewise, as the others: `version` before `weight`.
    lines.sort();
    lines.join("\n")
}

/// zoo.cfg without what the dynamic file says from now on. Comments go, as they do in the original.
/// `has_own_client`: this server's line has the client's address, so zoo.cfg must not have another one.
pub fn static_text(entries: &[Entry], dynamic_file: &str, has_own_client: bool) -> String {
    let is_moved = |key: &str| {
        let members = [
            "server.",
            "group",
            "weight",
            "dynamicConfigFile",
            "peerType",
        ];
        members.iter().any(|prefix| key.starts_with(prefix))
            || (has_own_client && key.starts_with("clientPort"))
    };
    let kept = entries.iter().filter(|entry| !is_moved(&entry.key));
    let kept = kept.map(|entry| (entry.key.as_str(), entry.value.as_str()));
    properties::write(kept.chain([("dynamicConfigFile", dynamic_file)]))
}

/// Where a configuration came from, and where the next one goes.
#[derive(Clone, Debug)]
pub struct DynamicFiles {
    /// zoo.cfg
    static_file: PathBuf,
    id: ServerId,
}

impl DynamicFiles {
    pub fn new(static_file: impl Into<PathBuf>, id: ServerId) -> Self {
        DynamicFiles {
            static_file: static_file.into(),
            id,
        }
    }

    pub fn committed_file(&self, version: i64) -> PathBuf {
        beside(&self.static_file, &format!(".dynamic.{version:x}"))
    }

    pub fn seen_file(&self) -> PathBuf {
        seen_file(&self.static_file)
    }

    /// Keeps zoo.cfg as the operator wrote it; to be called at the start of a server that may reconfigure and has
    /// no dynamic file yet.
    pub fn back_up(&self) -> io::Result<()> {
        let text = fs::read(&self.static_file)?;
        small::replace(&beside(&self.static_file, ".bak"), &text)
    }

    /// Whether files can be made beside zoo.cfg.
    pub fn try_directory(&self) -> io::Result<()> {
        let probe = beside(&self.static_file, ".dynamic.tmp");
        fs::write(&probe, "")?;
        fs::remove_file(&probe)
    }

    /// Proposed: if it is committed it must not be forgotten.
    pub fn write_seen(&self, members: &Membership) -> io::Result<()> {
        small::replace(&self.seen_file(), seen_text(members).as_bytes())
    }

    /// In force. A proposed one that is not newer is of no use any more: `seen_version` is that of the newest one.
    pub fn write_committed(&self, members: &Membership, seen_version: i64) -> io::Result<()> {
        let file = self.committed_file(members.version);
        small::replace(&file, committed_text(members).as_bytes())?;
        let own = members.servers.get(&self.id);
        let has_own_client = own.is_some_and(|own| own.client.is_some());
        let before = fs::read(&self.static_file)?;
        let entries = properties::parse(&before).map_err(|error| {
            let at = format!("{}:{}: {error}", self.static_file.display(), error.line);
            io::Error::new(io::ErrorKind::InvalidData, at)
        })?;
        let pointer = fs::canonicalize(&file)?.display().to_string();
        let text = static_text(&entries, &pointer, has_own_client);
        small::replace(&self.static_file, text.as_bytes())?;
        if seen_version <= members.version {
            self.forget_seen()?;
        }
        Ok(())
    }

    fn forget_seen(&self) -> io::Result<()> {
        let seen = self.seen_file();
        match fs::remove_file(&seen) {
            Ok(()) => small::sync_parent(&seen),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

pub(super) fn seen_file(static_file: &Path) -> PathBuf {
    beside(static_file, ".dynamic.next")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::{Config, SystemProperties};

    fn members(version: i64) -> Membership {
        let text = "server.10=c:1:2;2181\nserver.2=b:1:2:observer\nserver.1=a:1:2;a:2181";
        Membership {
            version,
            ..text.parse().unwrap()
        }
    }

    fn entries(text: &str) -> Vec<Entry> {
        properties::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_files_have_sorted_lines_without_a_last_line_end() {
        let lines = "server.10=c:1:2:participant;0.0.0.0:2181\nserver.1=a:1:2:participant;a:2181\n\
                     server.2=b:1:2:observer";
        assert_eq!(committed_text(&members(0x1f)), lines);
        assert_eq!(seen_text(&members(0x1f)), format!("{lines}\nversion=1f"));
        let grouped: Membership = "server.1=a:1:2\ngroup.1=1\nversion=2".parse().unwrap();
        assert_eq!(
            seen_text(&grouped),
            "group.1=1\nserver.1=a:1:2:participant\nversion=2\nweight.1=1"
        );
        assert_eq!(seen_text(&members(5)).parse(), Ok(members(5)));
    }

    #[test]
    fn zoo_cfg_keeps_what_has_no_other_place() {
        let before = "# mine\ndataDir=/d\nserver.1=a:1:2\ngroup.1=1\nweight.1=1\npeerType=participant\n\
                      dynamicConfigFile=/old\nclientPort=2181\nclientPortAddress=h\nsecureClientPort=7\nx = c\\\\d";
        let kept = "dataDir=/d\nsecureClientPort=7\nx=c\\\\d\ndynamicConfigFile=/new\n";
        assert_eq!(static_text(&entries(before), "/new", true), kept);
        let kept = "dataDir=/d\nclientPort=2181\nclientPortAddress=h\nsecureClientPort=7\nx=c\\\\d\n\
                    dynamicConfigFile=/new\n";
        assert_eq!(static_text(&entries(before), "/new", false), kept);
    }

    const STATIC: &str =
        "tickTime=2000\ninitLimit=5\nsyncLimit=2\nreconfigEnabled=true\nclientPort=2181\n";

    fn directory() -> (tempfile::TempDir, DynamicFiles) {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(data.join("myid"), "1\n").unwrap();
        let zoo_cfg = dir.path().join("zoo.cfg");
        let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
        let text = format!("dataDir={}\n{STATIC}{members}", data.display());
        fs::write(&zoo_cfg, text).unwrap();
        (dir, DynamicFiles::new(zoo_cfg, ServerId(1)))
    }

    fn sources(files: &DynamicFiles) -> crate::config::Sources {
        crate::config::load::read(&files.static_file).unwrap()
    }

    #[test]
    fn what_is_written_is_read_at_the_next_start() {
        let (_dir, files) = directory();
        files.back_up().unwrap();
        let backup = fs::read_to_string(beside(&files.static_file, ".bak")).unwrap();
        assert_eq!(backup, fs::read_to_string(&files.static_file).unwrap());

        files.write_seen(&members(0x2_0000_0005)).unwrap();
        assert_eq!(
            sources(&files).next,
            None,
            "zoo.cfg has no dynamic file yet"
        );
        // One voter is no ensemble, so this is a configuration to start with, whatever is proposed.
        let alone = Membership {
            version: 0x1_0000_0000,
            .."server.1=a:1:2;a:2181".parse().unwrap()
        };
        files.write_committed(&alone, 0x2_0000_0005).unwrap();
        let name = sources(&files).dynamic.unwrap().name;
        assert!(name.ends_with("/zoo.cfg.dynamic.100000000"), "{name}");
        assert!(Path::new(&name).is_absolute());
        let (config, _) = Config::load(&files.static_file, &SystemProperties::default()).unwrap();
        assert_eq!(config.membership, alone);
        assert_eq!(config.last_seen, Some(members(0x2_0000_0005)));

        files
            .write_committed(&members(0x2_0000_0005), 0x2_0000_0005)
            .unwrap();
        assert_eq!(sources(&files).next, None);
        let text = fs::read_to_string(&files.static_file).unwrap();
        assert_eq!(text.matches("dynamicConfigFile").count(), 1, "{text}");
        assert!(!text.contains("clientPort"), "{text}");
        assert!(text.contains("reconfigEnabled=true\n"), "{text}");
    }

    #[test]
    fn a_proposal_that_was_overtaken_is_forgotten() {
        let (_dir, files) = directory();
        files.write_seen(&members(5)).unwrap();
        files.write_committed(&members(6), 5).unwrap();
        assert!(!files.seen_file().exists());
        files.write_committed(&members(7), 7).unwrap();
    }
}
