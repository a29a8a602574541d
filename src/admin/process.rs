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

/// What the kernel knows of this process and its use of the machine.
pub struct Usage {
    pub cpu_seconds: f64,
    pub start_unix_s: f64,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    /// Memory that is in no file.
    pub heap_bytes: u64,
    /// What the machine, or the group that this process is in, lets it have.
    pub memory_bytes_max: u64,
    pub threads: u64,
}

impl Usage {
    pub fn read() -> Usage {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the program may hold anything, but ends with the last parenthesis; the third field follows.
        let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
        let fields: Vec<u64> = behind
            .split(' ')
            .map(|field| field.trim().parse().unwrap_or(0))
            .collect();
        let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
        let ticks = ticks_per_second();
        let booted = fs::read_to_string("/proc/stat").unwrap_or_default();
        let booted = booted.lines().find_map(|line| line.strip_prefix("btime "));
        let booted: f64 = booted.and_then(|at| at.parse().ok()).unwrap_or(0.0);
        let machine = kilobytes("/proc/meminfo", "MemTotal:") * 1024;
        Usage {
            cpu_seconds: (field(14) + field(15)) as f64 / ticks,
            start_unix_s: booted + field(22) as f64 / ticks,
            virtual_bytes: field(23),
            resident_bytes: kilobytes("/proc/self/status", "VmRSS:") * 1024,
            heap_bytes: kilobytes("/proc/self/status", "RssAnon:") * 1024,
            memory_bytes_max: group_limit().map_or(machine, |limit| limit.min(machine)),
            threads: field(20),
        }
    }
}

fn ticks_per_second() -> f64 {
    // SAFETY: it takes a number and returns one.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

fn group_limit() -> Option<u64> {
    let files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limit = |file| fs::read_to_string(file).ok()?.trim().parse().ok();
    files.into_iter().find_map(limit)
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
    fn the_kernel_knows_this_process() {
        let usage = Usage::read();
        assert!(usage.start_unix_s > 1.5e9, "{}", usage.start_unix_s);
        assert!(usage.threads >= 1);
        assert!(usage.resident_bytes > 1 << 20);
        assert!(usage.virtual_bytes >= usage.resident_bytes);
        assert!(usage.memory_bytes_max >= usage.heap_bytes);
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
