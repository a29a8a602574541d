//! What the operating system says about a process: CPU time of all its threads and its resident memory.

use std::fs;

use anyhow::{Context, Result};

#[derive(Clone, Copy)]
pub struct Sample {
    /// User and system time of all threads, those that ended included.
    pub cpu_us: f64,
    pub rss_kib: u64,
}

/// Of all of them together; `None` for none.
pub fn sum(pids: &[u32]) -> Result<Option<Sample>> {
    let mut all: Option<Sample> = None;
    for pid in pids {
        let one = sample(*pid)?;
        let so_far = all.map_or((0.0, 0), |sample| (sample.cpu_us, sample.rss_kib));
        all = Some(Sample {
            cpu_us: so_far.0 + one.cpu_us,
            rss_kib: so_far.1 + one.rss_kib,
        });
    }
    Ok(all)
}

pub fn sample(pid: u32) -> Result<Sample> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("no process {pid}"))?;
    // The second field is a name in parentheses that may contain anything, so count from its end.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .context("a strange /proc stat")?
        .1
        .split_whitespace()
        .collect();
    let ticks: u64 = fields.get(11).context("utime")?.parse::<u64>()?
        + fields.get(12).context("stime")?.parse::<u64>()?;
    // SAFETY: no pointers.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(Sample {
        cpu_us: ticks as f64 * 1e6 / ticks_per_second as f64,
        rss_kib: rss.trim().trim_end_matches("kB").trim().parse()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn several_processes_are_summed() {
        let own = std::process::id();
        assert!(super::sum(&[]).unwrap().is_none());
        let (one, two) = (super::sum(&[own]), super::sum(&[own, own]));
        assert!(two.unwrap().unwrap().rss_kib > one.unwrap().unwrap().rss_kib);
    }

    #[test]
    fn this_process_uses_memory_and_its_clock_goes_forward() {
        let before = super::sample(std::process::id()).unwrap();
        assert!(before.rss_kib > 100);
        let mut x = 0u64;
        while super::sample(std::process::id()).unwrap().cpu_us <= before.cpu_us {
            x = std::hint::black_box(x + 1);
        }
    }
}
