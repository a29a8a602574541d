//! Facts about this process that the operating system knows: descriptors, memory, environment.
//!
//! Everything here is read from /proc when asked; what cannot be read has a stand-in.
//! Answers to Java's `OSMXBean` and `Environment`.

use std::fs;
use std::net::ToSocketAddrs;

use super::version;

/// Open descriptors of this process, -1 where unknown.
pub fn open_file_descriptors() -> i64 {
    // One of them is the directory being read.
    fs::read_dir("/proc/self/fd").map_or(-1, |entries| entries.count() as i64 - 1)
}

/// How many descriptors this process may have open, -1 where unknown.
pub fn max_file_descriptors() -> i64 {
    fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|limits| {
            let line = limits
                .lines()
                .find(|line| line.starts_with("Max open files"))?;
            line.split_whitespace().nth(3)?.parse().ok()
        })
        .unwrap_or(-1)
}

/// The lines of `envi`, in Java's order. Gathered when asked: nobody asks often.
pub fn environment() -> Vec<(&'static str, String)> {
    const NOT_JAVA: &str = "<NA>";
    let variable = |name| std::env::var(name).unwrap_or_else(|_| NOT_JAVA.to_owned());
    let kernel = |name| {
        fs::read_to_string(format!("/proc/sys/kernel/{name}"))
            .map_or_else(|_| NOT_JAVA.to_owned(), |text| text.trim().to_owned())
    };
    // Java names this architecture as its makers did.
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        other => other,
    };
    let memory = Memory::read();
    vec![
        ("zookeeper.version", version::FULL.to_owned()),
        ("host.name", host_name()),
        ("java.version", NOT_JAVA.to_owned()),
        ("java.vendor", NOT_JAVA.to_owned()),
        ("java.home", NOT_JAVA.to_owned()),
        ("java.class.path", NOT_JAVA.to_owned()),
        ("java.library.path", NOT_JAVA.to_owned()),
        ("java.io.tmpdir", std::env::temp_dir().display().to_string()),
        ("java.compiler", NOT_JAVA.to_owned()),
        ("os.name", kernel("ostype")),
        ("os.arch", arch.to_owned()),
        ("os.version", kernel("osrelease")),
        ("user.name", variable("USER")),
        ("user.home", variable("HOME")),
        (
            "user.dir",
            std::env::current_dir()
                .map_or_else(|_| NOT_JAVA.to_owned(), |dir| dir.display().to_string()),
        ),
        ("os.memory.free", memory.free()),
        ("os.memory.max", memory.max()),
        ("os.memory.total", memory.used()),
        ("server.implementation", "ferrokeeper".to_owned()),
    ]
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        // A name that does not resolve is of no use to whoever reads it.
        .filter(|name| (name.as_str(), 0).to_socket_addrs().is_ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// In kilobytes.
struct Memory {
    available: u64,
    total: u64,
    resident: u64,
}

impl Memory {
    fn read() -> Self {
        Memory {
            available: kilobytes("/proc/meminfo", "MemAvailable:"),
            total: kilobytes("/proc/meminfo", "MemTotal:"),
            resident: kilobytes("/proc/self/status", "VmRSS:"),
        }
    }

    fn free(&self) -> String {
        megabytes(self.available)
    }

    fn max(&self) -> String {
        megabytes(self.total)
    }

    /// Java's total is what the process has taken so far.
    fn used(&self) -> String {
        megabytes(self.resident)
    }
}

fn megabytes(kilobytes: u64) -> String {
    format!("{}MB", kilobytes / 1024)
}

fn kilobytes(file: &str, key: &str) -> u64 {
    fs::read_to_string(file)
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_counted() {
        let before = open_file_descriptors();
        assert!(before > 0);
        assert!(max_file_descriptors() >= before);
    }

    #[test]
    fn the_environment_has_a_value_for_every_key() {
        let environment = environment();
        assert!(
            environment
                .iter()
                .all(|(_, value)| !value.is_empty() && !value.contains('\n'))
        );
        assert_eq!(environment[0].0, "zookeeper.version");
        assert!(
            environment
                .iter()
                .any(|(key, value)| *key == "os.memory.total" && value != "0MB")
        );
    }
}
