//! Readiness of file descriptors, and the clock of every measurement. Knows nothing of the protocol.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll {
            // SAFETY: epoll_create1 has just given us this descriptor.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 512],
        })
    }

    pub fn add(&self, fd: RawFd, token: usize, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, write)
    }

    pub fn modify(&self, fd: RawFd, token: usize, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, write)
    }

    fn control(&self, op: i32, fd: RawFd, token: usize, write: bool) -> io::Result<()> {
        // Told once for what comes: asking again for each that was handled costs as much as handling it.
        let read = libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET;
        let events = if write { read | libc::EPOLLOUT } else { read };
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: token as u64,
        };
        // SAFETY: `event` lives across the call, which only reads it.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), op, fd, &mut event) })?;
        Ok(())
    }

    /// Waits at most `timeout_ms` and puts (token, readable, no more comes) into `ready`.
    pub fn wait(
        &mut self,
        timeout_ms: i32,
        ready: &mut Vec<(usize, bool, bool)>,
    ) -> io::Result<()> {
        ready.clear();
        let max = self.events.len() as i32;
        // SAFETY: the kernel writes at most `max` entries into a vector of that length.
        let n = unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                max,
                timeout_ms,
            )
        };
        let n = match check(n) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        ready.extend(self.events[..n as usize].iter().map(|e| {
            let flags = e.events as i32;
            (
                e.u64 as usize,
                flags & !libc::EPOLLOUT != 0,
                flags & (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) != 0,
            )
        }));
        Ok(())
    }
}

/// A timer with the kernel's full resolution, for the open loop: epoll's own timeout counts milliseconds.
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    pub fn new() -> io::Result<Timer> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = check(unsafe {
            libc::timerfd_create(
                libc::CLOCK_MONOTONIC,
                libc::TFD_NONBLOCK | libc::TFD_CLOEXEC,
            )
        })?;
        // SAFETY: timerfd_create has just given us this descriptor.
        Ok(Timer {
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
        })
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Becomes readable at that time of `now_ns`'s clock; setting it again makes it unreadable until then.
    pub fn set(&self, at_ns: u64) -> io::Result<()> {
        let zero = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let at = libc::timespec {
            tv_sec: (at_ns / 1_000_000_000) as i64,
            tv_nsec: (at_ns % 1_000_000_000) as i64,
        };
        let spec = libc::itimerspec {
            it_interval: zero,
            it_value: at,
        };
        // SAFETY: `spec` lives across the call, which only reads it; the old value is not asked for.
        check(unsafe {
            libc::timerfd_settime(
                self.fd(),
                libc::TFD_TIMER_ABSTIME,
                &spec,
                std::ptr::null_mut(),
            )
        })?;
        Ok(())
    }
}

/// Nanoseconds of the monotonic clock.
pub fn now_ns() -> u64 {
    let mut t = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `t` is valid for the write; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Lets this process hold `wanted` descriptors, as far as the hard limit allows.
pub fn raise_descriptor_limit(wanted: u64) -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for the write.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    if limit.rlim_max < wanted {
        return Err(io::Error::other(format!(
            "{wanted} file descriptors are needed, the hard limit (ulimit -Hn) is {}; use several processes",
            limit.rlim_max
        )));
    }
    limit.rlim_cur = wanted;
    // SAFETY: `limit` is only read.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
