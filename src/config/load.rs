//! Reads the files that make up a configuration: zoo.cfg, the dynamic file it names, and myid.
//!
//! The only part of the configuration that touches a disk. Answers to `QuorumPeerConfig.parse`
//! and `VerifyingFileFactory`.

use std::io;
use std::path::Path;

use super::diagnostics::ConfigError;
use super::{dynamic, properties};

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as given, for messages.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Everything that `Config::from_sources` looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    pub zoo_cfg: SourceFile,
    pub dynamic: Option<SourceFile>,
    /// The members that were proposed last, `<zoo.cfg>.dynamic.next`. It counts only beside a dynamic file.
    pub next: Option<SourceFile>,
    /// `<dataDir>/myid`, if there is one.
    pub my_id: Option<SourceFile>,
}

pub fn read(path: &Path) -> Result<Sources, ConfigError> {
    let zoo_cfg = read_file(path)?;
    // A file that cannot be parsed names nothing; `from_sources` reports it with its line.
    let entries = properties::parse(&zoo_cfg.bytes).unwrap_or_default();
    let last = |key: &str| {
        let named = entries.iter().rev().find(|entry| entry.key == key);
        named
            .map(|entry| entry.value.as_str())
            .filter(|value| !value.is_empty())
    };
    let dynamic_file = last("dynamicConfigFile")
        .map(|name| read_file(Path::new(name)))
        .transpose()?;
    let next = dynamic::seen_file(path);
    let next = match dynamic_file.is_some() && next.is_file() {
        true => Some(read_file(&next)?),
        false => None,
    };
    let my_id = match last("dataDir").map(|dir| Path::new(dir).join("myid")) {
        Some(my_id) if my_id.is_file() => Some(read_file(&my_id)?),
        _ => None,
    };
    Ok(Sources {
        zoo_cfg,
        dynamic: dynamic_file,
        next,
        my_id,
    })
}

fn read_file(path: &Path) -> Result<SourceFile, ConfigError> {
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => Ok(SourceFile { name, bytes }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ConfigError::general(format!("{name} file is missing")))
        }
        Err(error) => Err(ConfigError::in_file(
            &name,
            format!("cannot be read: {error}"),
        )),
    }
}
