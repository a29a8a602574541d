//! The threads that serve connections. Each waits for its own connections alone, and a connection stays where it
//! is: threads that share their work wake each other for what one of them would have done sooner.

use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::AbortHandle;

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
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let outbox = Arc::<Outbox>::default();
            loops.push((runtime.handle().clone(), outbox.clone()));
            let mut stopped = stopped.clone();
            let run = move || {
                runtime.spawn(empty(outbox));
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
