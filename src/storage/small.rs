//! Small files that are replaced whole: either the old content or the new one is there.
//!
//! Written beside, synced, renamed, and the directory synced: when `replace` returns, the new
//! content survives a power failure. Answers to Java's `AtomicFileOutputStream`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Replaces the content of `path`, durably.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = Path::new(&beside);
    let mut file = File::create(beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    sync_parent(path)
}

/// Makes a name that was created, renamed or removed in the parent directory durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        // A name alone is one of the current directory.
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The content of `path`, `None` if there is no such file. At most 4 KiB: these files are small,
/// and what lies there may be anything.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut content = Vec::new();
    file.take(4096).read_to_end(&mut content)?;
    Ok(Some(content))
}
