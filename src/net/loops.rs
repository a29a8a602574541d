//! The threads that serve connections. Each waits for its own connections alone, and a connection stays where it
//! is: threads that share their work wake each other for what one of them would have done sooner.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::rest::{LOOK, Rest};
use crate::pipeline::outbox::Outbox;

/// Connections whose output is sent before others get their turn.
const SENDS_AT_ONCE: usize = 64;

pub struct Loops {
    loops: Vec<(Handle, Arc<Outbox>)>,
    next: AtomicUsize,
    stop: watch::Sender<()>,
}

impl Loops {
    /// Half of the cores: the disk, what is applied, and what the kernel does for sockets need the others.
    pub fn count() -> usize {
        std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
    }

    /// Threads that run until [`Loops::stop`].
    pub fn start(count: usize) -> io::Result<(Arc<Loops>, Vec<JoinHandle<()>>)> {
        let (stop, stopped) = watch::channel(());
        let mut loops = Vec::new();
        let mut threads = Vec::new();
        for n in 0..count.max(1) {
            let outbox = Arc::<Outbox>::default();
            let resting = Arc::new(Resting::new());
            let (begins, ends) = (resting.clone(), resting.clone());
            let runtime = Builder::new_current_thread()
                .enable_all()
                .on_thread_park(move || begins.begins())
                .on_thread_unpark(move || ends.ends())
                .build()?;
            loops.push((runtime.handle().clone(), outbox.clone()));
            let mut stopped = stopped.clone();
            let run = move || {
                runtime.spawn(empty(outbox));
                runtime.spawn(look(resting));
                runtime.block_on(async {
                    let _ = stopped.changed().await;
                });
            };
            threads.push(crate::server::thread(&format!("net-{n}"), run)?);
        }
        let next = AtomicUsize::new(0);
        Ok((Arc::new(Loops { loops, next, stop }), threads))
    }

    /// Runs a task beside the connections of the first thread.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.loops[0].0.spawn(task).abort_handle()
    }

    /// Gives a new connection to the next thread in turn.
    pub fn serve<F>(&self, connection: impl FnOnce(Arc<Outbox>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let n = self.next.fetch_add(1, Ordering::Relaxed) % self.loops.len();
        let (handle, outbox) = &self.loops[n];
        handle.spawn(connection(outbox.clone()));
    }

    /// Drops all connections.
    pub fn stop(&self) {
        let _ = self.stop.send(());
    }
}

/// Sends what the connections of this thread have in their outputs, as often as there is any.
async fn empty(outbox: Arc<Outbox>) {
    let mut clients = Vec::new();
    loop {
        poll_fn(|cx| outbox.poll_take(cx, &mut clients)).await;
        for some in clients.chunks(SENDS_AT_ONCE) {
            for client in some {
                client.flush();
            }
            tokio::task::yield_now().await;
        }
        clients.clear();
    }
}

thread_local! {
    static WORK: Cell<u64> = const { Cell::new(0) };
}

/// Something came for this thread.
pub(super) fn worked() {
    WORK.set(WORK.get() + 1);
}

/// The rests of one thread, which alone locks them.
struct Resting(Mutex<Rests>);

struct Rests {
    rest: Rest,
    /// A look is wanted from the task that looks.
    wanted: bool,
    waker: Option<Waker>,
}

impl Resting {
    fn new() -> Resting {
        Resting(Mutex::new(Rests {
            rest: Rest::new(Instant::now()),
            wanted: false,
            waker: None,
        }))
    }

    fn begins(&self) {
        let mut rests = self.0.lock();
        let now = Instant::now();
        if rests.rest.begins(now, WORK.get(), thread_cpu) {
            rests.wanted = true;
            if let Some(waker) = &rests.waker {
                waker.wake_by_ref();
            }
        }
    }

    fn ends(&self) {
        self.0.lock().rest.ends(Instant::now());
    }

    fn looked(&self, took: Duration, in_vain: bool) {
        self.0.lock().rest.looked(took, WORK.get(), in_vain);
    }

    fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        let mut rests = self.0.lock();
        if std::mem::take(&mut rests.wanted) {
            return Poll::Ready(());
        }
        if rests.waker.is_none() {
            rests.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// Keeps its thread from sleeping, when that is wanted: until something comes, but not for long.
async fn look(resting: Arc<Resting>) {
    loop {
        poll_fn(|cx| resting.poll_wanted(cx)).await;
        let (began, before) = (Instant::now(), WORK.get());
        let in_vain = loop {
            // Everything is polled, and sockets are looked at.
            tokio::task::yield_now().await;
            if WORK.get() != before {
                break false;
            }
            if began.elapsed() >= LOOK {
                break true;
            }
            // Whoever else wants this processor goes first.
            std::thread::yield_now();
        };
        resting.looked(began.elapsed(), in_vain);
    }
}

/// Processor time that this thread took.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: it fills in what it is given; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn connections_go_round_and_end_with_the_threads() {
        let (loops, threads) = Loops::start(2).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        for _ in 0..4 {
            let tell = tell.clone();
            loops.serve(|_| async move {
                let name = std::thread::current().name().unwrap().to_owned();
                tell.send(name).unwrap();
                std::future::pending().await
            });
        }
        drop(tell);
        let mut names: Vec<String> = told.iter().take(4).collect();
        names.sort();
        assert_eq!(names, ["net-0", "net-0", "net-1", "net-1"]);
        loops.stop();
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(told.recv().is_err(), "their tasks are dropped");
    }
}
