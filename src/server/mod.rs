//! The driver: opens the store, starts the threads and the listeners, and stops them in order. Answers to
//! `ZooKeeperServerMain`.

use std::future::Future;

/// The one place where tasks are born.
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
