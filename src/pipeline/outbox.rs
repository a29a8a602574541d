//! Who sends what the applying thread has put into the outputs of connections: itself when they are few, and the
//! threads that serve them when they are many. Knows no sockets.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::client::Client;

/// Up to so many connections are sent their answers by the thread that applies: they wait for no other.
const DIRECT_SENDS_MAX: usize = 64;

/// Connections of one thread that have something to send. While it is busy with some of them, further output of the
/// others gathers, and leaves at once.
#[derive(Default)]
pub struct Outbox(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    clients: Vec<Arc<Client>>,
    waker: Option<Waker>,
}

impl Outbox {
    fn put(&self, mut clients: Vec<Arc<Client>>) {
        let mut waiting = self.0.lock();
        waiting.clients.append(&mut clients);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Ready with all of them in `clients`, which was empty.
    pub fn poll_take(&self, cx: &mut Context<'_>, clients: &mut Vec<Arc<Client>>) -> Poll<()> {
        let mut waiting = self.0.lock();
        if waiting.clients.is_empty() {
            waiting.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        std::mem::swap(&mut waiting.clients, clients);
        Poll::Ready(())
    }
}

/// Has the output of all these sent.
pub(super) fn deliver(touched: Vec<Arc<Client>>) {
    if touched.len() <= DIRECT_SENDS_MAX {
        for client in touched {
            client.flush();
        }
        return;
    }
    let mut by_thread: Vec<(Arc<Outbox>, Vec<Arc<Client>>)> = Vec::new();
    for client in touched {
        let outbox = client.outbox();
        match by_thread.iter_mut().find(|(o, _)| Arc::ptr_eq(o, outbox)) {
            Some((_, clients)) => clients.push(client),
            None => by_thread.push((outbox.clone(), vec![client])),
        }
    }
    for (outbox, clients) in by_thread {
        outbox.put(clients);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::ids::ConnId;
    use crate::pipeline::client::Sink;

    #[derive(Clone, Default)]
    struct Counted(Arc<AtomicUsize>);

    impl Sink for Counted {
        fn try_send(&self, bytes: &[u8], _last: bool) -> io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn end(&self) {}
    }

    impl Wake for Counted {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn touched(count: usize, outbox: &Arc<Outbox>) -> (Vec<Arc<Client>>, Counted) {
        let sends = Counted::default();
        let client = |n| {
            let remote = "127.0.0.1:1000".parse().expect("it is an address");
            let (sink, outbox) = (Box::new(sends.clone()), outbox.clone());
            let client = Client::new(ConnId(n), remote, 0, Arc::from([]), sink, outbox);
            client.state().out().push(1);
            Arc::new(client)
        };
        ((0..count as u32).map(client).collect(), sends)
    }

    #[test]
    fn few_are_sent_at_once() {
        let outbox = Arc::<Outbox>::default();
        let (clients, sends) = touched(DIRECT_SENDS_MAX, &outbox);
        deliver(clients);
        assert_eq!(sends.0.load(Ordering::Relaxed), DIRECT_SENDS_MAX);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(outbox.poll_take(&mut cx, &mut Vec::new()).is_pending());
    }

    #[test]
    fn many_wake_the_thread_of_each_once() {
        let outboxes = [Arc::<Outbox>::default(), Arc::default()];
        let wakes = Arc::new(Counted::default());
        let waker = Waker::from(wakes.clone());
        let mut cx = Context::from_waker(&waker);
        for outbox in &outboxes {
            assert!(outbox.poll_take(&mut cx, &mut Vec::new()).is_pending());
        }
        let (mut clients, sends) = touched(100, &outboxes[0]);
        clients.extend(touched(50, &outboxes[1]).0);
        deliver(clients);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
        assert_eq!(sends.0.load(Ordering::Relaxed), 0);
        for (outbox, count) in outboxes.iter().zip([100, 50]) {
            let mut taken = Vec::new();
            assert!(outbox.poll_take(&mut cx, &mut taken).is_ready());
            assert_eq!(taken.len(), count);
        }
    }
}
