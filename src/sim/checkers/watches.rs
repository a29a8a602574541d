//! A one-shot watch fires for the first change after it was set, before its client sees any state with that change,
//! and for nothing else; a client that takes its watches to another server loses none and hears nothing twice.

use std::collections::BTreeMap;

use super::{Verdict, violated};
use crate::ids::Zxid;
use crate::proto::EventType;
use crate::sim::truth::Truth;

const NAME: &str = "watches";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Set by a read of a node that exists.
    Data,
    /// Set by a question for a node that does not.
    Exist,
    Child,
}

impl Kind {
    pub fn events(self) -> &'static [EventType] {
        match self {
            Kind::Data | Kind::Exist => &[
                EventType::NODE_CREATED,
                EventType::NODE_DELETED,
                EventType::NODE_DATA_CHANGED,
            ],
            Kind::Child => &[EventType::NODE_DELETED, EventType::NODE_CHILDREN_CHANGED],
        }
    }
}

/// The watches of one client.
#[derive(Default)]
pub struct ClientWatches {
    /// With the zxid of the reply that set it.
    set: BTreeMap<(String, Kind), Zxid>,
}

impl ClientWatches {
    pub fn set(&mut self, path: &str, kind: Kind, zxid: Zxid) {
        // A second watch of the same kind changes nothing.
        self.set.entry((path.to_owned(), kind)).or_insert(zxid);
    }

    pub fn of(&self, kind: Kind) -> Vec<String> {
        self.set
            .keys()
            .filter(|(_, k)| *k == kind)
            .map(|(path, _)| path.clone())
            .collect()
    }

    /// It counts from here on, if it is still set.
    pub fn move_on(&mut self, path: &str, kind: Kind, zxid: Zxid) {
        if let Some(since) = self.set.get_mut(&(path.to_owned(), kind)) {
            *since = zxid;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// The session ended, and its watches with it.
    pub fn clear(&mut self) {
        self.set.clear();
    }

    /// An event of `zxid`, or -1 where a server only knows that something changed while the client was away.
    pub fn fired(&mut self, truth: &Truth, path: &str, event: EventType, zxid: i64) -> Verdict {
        let mut heard = false;
        for kind in [Kind::Data, Kind::Exist, Kind::Child] {
            let key = (path.to_owned(), kind);
            let Some(since) = self.set.get(&key).copied() else {
                continue;
            };
            if !kind.events().contains(&event) {
                continue;
            }
            let Some((at, first)) = truth.first_event(path, kind.events(), since) else {
                continue;
            };
            // The whole of a transaction happens at once, and a server that hears of a change later tells the sum.
            if zxid > 0 && (at.0 != zxid || (first != event && !same_txn(truth, path, at, event))) {
                return violated(
                    NAME,
                    format!(
                        "{event} of {path} at {} for a watch set at {since}; the first change was {first} at {at}",
                        Zxid(zxid)
                    ),
                );
            }
            self.set.remove(&key);
            heard = true;
        }
        if heard {
            return Ok(());
        }
        violated(
            NAME,
            format!("{event} of {path} at {} without a watch for it", Zxid(zxid)),
        )
    }

    /// The client sees the state at `zxid`: whatever changed until then it has heard of.
    pub fn seen(&self, truth: &Truth, zxid: Zxid) -> Verdict {
        for ((path, kind), since) in &self.set {
            if let Some((at, event)) = truth.first_event(path, kind.events(), *since)
                && at <= zxid
            {
                return violated(
                    NAME,
                    format!(
                        "a client sees {zxid} and has not heard of {event} of {path} at {at}, watched since {since}"
                    ),
                );
            }
        }
        Ok(())
    }
}

fn same_txn(truth: &Truth, path: &str, at: Zxid, event: EventType) -> bool {
    truth
        .first_event(path, &[event], Zxid(at.0 - 1))
        .is_some_and(|(zxid, _)| zxid == at)
}
