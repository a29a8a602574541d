//! The addresses of a server that has several, in the order in which it is of use to try them.
//!
//! With a limit (`multiAddress.reachabilityCheckTimeoutMs`) all of them are asked together, and the first one that
//! answers is the first one; if none does in that time, or without a limit, they are tried one after the other, with
//! more patience. An answer is a connection: what Java asks with an ICMP echo, before it connects, says less, and
//! often may not be sent. Must not know what is said on a connection. Answers to `MultipleAddresses`.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpStream, ToSocketAddrs};

/// Of each address before the next: while the first one answers, nobody at the others sees a connection that ends
/// without a word.
const HEAD_START: Duration = Duration::from_millis(30);

/// Goes through the addresses, once each.
pub struct Tries<'a, A> {
    addresses: &'a [A],
    patience: Duration,
    answered: Option<(usize, TcpStream)>,
    left: std::vec::IntoIter<usize>,
}

impl<'a, A: ToSocketAddrs + Clone> Tries<'a, A> {
    /// `check`: how long several are asked together; `patience`: for the connection to one.
    pub async fn begin(addresses: &'a [A], check: Option<Duration>, patience: Duration) -> Self {
        let answered = match check.filter(|_| addresses.len() > 1) {
            Some(limit) => first_to_answer(addresses, limit).await,
            None => None,
        };
        let first = answered.as_ref().map(|(place, _)| *place);
        let others = (0..addresses.len()).filter(|place| Some(*place) != first);
        let left: Vec<usize> = first.into_iter().chain(others).collect();
        Tries {
            addresses,
            patience,
            answered,
            left: left.into_iter(),
        }
    }

    /// The next address, and the connection to it or why there is none. To be called until one will do.
    pub async fn next(&mut self) -> Option<(&'a A, io::Result<TcpStream>)> {
        let address = self.addresses.get(self.left.next()?)?;
        if let Some((_, tcp)) = self.answered.take() {
            return Some((address, Ok(tcp)));
        }
        let connecting = TcpStream::connect(address.clone());
        let connected = tokio::time::timeout(self.patience, connecting).await;
        Some((
            address,
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        ))
    }
}

async fn first_to_answer<A: ToSocketAddrs + Clone>(
    addresses: &[A],
    limit: Duration,
) -> Option<(usize, TcpStream)> {
    let head_start = HEAD_START.min(limit / (2 * addresses.len() as u32));
    let attempts = addresses
        .iter()
        .enumerate()
        .map(|(place, address)| async move {
            tokio::time::sleep(head_start * place as u32).await;
            let tcp = TcpStream::connect(address.clone()).await.ok()?;
            Some((place, tcp))
        });
    let first = first_of(attempts.collect());
    tokio::time::timeout(limit, first).await.ok().flatten()
}

/// The first that comes to something; `None` once all came to nothing.
async fn first_of<T, F: Future<Output = Option<T>>>(attempts: Vec<F>) -> Option<T> {
    let mut attempts: Vec<Pin<Box<F>>> = attempts.into_iter().map(Box::pin).collect();
    poll_fn(|cx| {
        let mut found = None;
        attempts.retain_mut(|attempt| {
            if found.is_some() {
                return true;
            }
            match attempt.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    found = result;
                    false
                }
                Poll::Pending => true,
            }
        });
        match found.is_some() || attempts.is_empty() {
            true => Poll::Ready(found.take()),
            false => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    /// An address that is there and does not answer: its queue of connections is full.
    pub(in crate::net) struct Silent {
        pub(in crate::net) address: SocketAddr,
        _listener: TcpListener,
        _queued: Vec<tokio::task::JoinHandle<()>>,
    }

    impl Drop for Silent {
        fn drop(&mut self) {
            self._queued.iter().for_each(|queued| queued.abort());
        }
    }

    pub(in crate::net) async fn silent() -> Silent {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        loop {
            let connecting = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(100), connecting).await {
                Ok(connected) => {
                    let stream = connected.unwrap();
                    queued.push(tokio::spawn(async move {
                        let _kept = stream;
                        std::future::pending().await
                    }));
                }
                Err(_) => break,
            }
        }
        Silent {
            address,
            _listener: listener,
            _queued: queued,
        }
    }

    async fn answers() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Nobody listens there now.
    async fn refuses() -> SocketAddr {
        answers().await.1
    }

    /// In which order they are tried, and what came of it.
    async fn tried(
        addresses: &[SocketAddr],
        check: Option<Duration>,
        patience: Duration,
    ) -> Vec<(SocketAddr, bool)> {
        let mut tries = Tries::begin(addresses, check, patience).await;
        let mut all = Vec::new();
        while let Some((address, connected)) = tries.next().await {
            all.push((*address, connected.is_ok()));
        }
        all
    }

    #[tokio::test]
    async fn the_first_one_that_answers_comes_first() {
        let (_listening, good) = answers().await;
        let (silent, refused) = (silent().await, refuses().await);
        let short = Duration::from_millis(50);
        let addresses = [silent.address, refused, good];
        // The check has time without end: that it comes to its end says that nobody waited for the silent one.
        let found = tried(&addresses, Some(LONG), short).await;
        assert_eq!(
            found,
            [(good, true), (silent.address, false), (refused, false)]
        );
    }

    #[tokio::test]
    async fn while_all_answer_the_order_is_that_of_the_configuration() {
        let (_one, first) = answers().await;
        let (other, second) = answers().await;
        let addresses = [first, second];
        let mut tries = Tries::begin(&addresses, Some(LONG), LONG).await;
        let (address, connected) = tries.next().await.unwrap();
        assert_eq!((*address, connected.is_ok()), (first, true));
        // And the others were left alone.
        let visited = tokio::time::timeout(Duration::from_millis(1), other.accept()).await;
        assert!(visited.is_err());
    }

    #[tokio::test]
    async fn without_an_answer_in_time_or_without_a_check_they_are_tried_one_by_one() {
        let (_listening, good) = answers().await;
        let (silent, refused) = (silent().await, refuses().await);
        let short = Duration::from_millis(50);
        let one_by_one = [(silent.address, false), (good, true)];
        let addresses = [silent.address, good];
        assert_eq!(tried(&addresses, None, short).await, one_by_one);
        let nobody = [silent.address, refused];
        assert_eq!(
            tried(&nobody, Some(short), short).await,
            [(silent.address, false), (refused, false)]
        );
        assert_eq!(tried(&[good], Some(short), short).await, [(good, true)]);
        assert_eq!(tried(&[], Some(short), short).await, []);
    }
}
