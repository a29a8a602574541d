//! What a server's driver can get wrong towards its clients, on purpose, one at a time: so it is shown that the
//! checkers of what clients see notice. The mistakes of the core are in `zab::mistake`. Numbers are ZOOKEEPER tickets.

use std::cell::Cell;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slip {
    /// A read does not wait for the writes that its session sent before.
    ReadOvertakesWrite,
    /// A client is welcome that has seen more than the server has.
    WelcomeFromTheFuture,
    /// Answers leave before the events of the same transactions.
    EventsLate,
    /// The watches that a client brings along are forgotten.
    WatchesLeftBehind,
    /// A new leader lets sessions live that nobody speaks for.
    SessionsForgotten,
    /// A learner does not tell whom it heard of: sessions end while their clients are there.
    TouchesLost,
    /// A leader answers its own clients' sync at once.
    SyncIsARead,
    /// A session ends as a local one while its upgrade is on the way (3471).
    StaleUpgrade,
}

impl Slip {
    pub const ALL: &[Slip] = &[
        Slip::ReadOvertakesWrite,
        Slip::WelcomeFromTheFuture,
        Slip::EventsLate,
        Slip::WatchesLeftBehind,
        Slip::SessionsForgotten,
        Slip::TouchesLost,
        Slip::SyncIsARead,
        Slip::StaleUpgrade,
    ];
}

thread_local! {
    static MADE: Cell<Option<Slip>> = const { Cell::new(None) };
}

pub fn make(slip: Option<Slip>) {
    MADE.set(slip);
}

pub fn makes(slip: Slip) -> bool {
    MADE.get() == Some(slip)
}
