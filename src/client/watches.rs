//! The watches that this client asked for: which events are for somebody, and what to ask for again behind a
//! reconnection. Answers to `ZKWatchManager`.

use std::collections::BTreeSet;

use crate::proto::client::SetWatches2;
use crate::proto::{ErrorCode, EventType, Text};

/// Bytes of paths in one packet, as in Java.
const PACKET_BYTES: usize = 128 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchKind {
    Data,
    Exists,
    Children,
    Persistent,
    Recursive,
}

impl WatchKind {
    const ALL: [WatchKind; 5] = [
        WatchKind::Data,
        WatchKind::Exists,
        WatchKind::Children,
        WatchKind::Persistent,
        WatchKind::Recursive,
    ];
}

/// What a request does to the watches when it succeeds.
pub enum Registration {
    /// Of the path as the server knows it.
    Add(WatchKind, String),
    /// On the node if there is one, for its creation if there is none.
    AddExists(String),
    /// `local`: also when no server can be asked.
    Remove {
        kinds: &'static [WatchKind],
        path: String,
        local: bool,
    },
}

pub struct Watches {
    chroot: Option<String>,
    sets: [BTreeSet<String>; 5],
}

impl Watches {
    pub fn new(chroot: Option<String>) -> Watches {
        Watches {
            chroot,
            sets: Default::default(),
        }
    }

    fn set(&mut self, kind: WatchKind) -> &mut BTreeSet<String> {
        &mut self.sets[kind as usize]
    }

    /// Applies what a request asked for. What was removed is told, kind by kind; that there was nothing to remove
    /// is the request's answer then.
    pub fn answered(
        &mut self,
        registration: Registration,
        result: ErrorCode,
    ) -> Result<Vec<(EventType, String)>, ErrorCode> {
        match registration {
            Registration::Add(kind, path) if result.is_ok() => {
                self.set(kind).insert(path);
            }
            Registration::AddExists(path) if result.is_ok() => {
                self.set(WatchKind::Data).insert(path);
            }
            Registration::AddExists(path) if result == ErrorCode::NO_NODE => {
                self.set(WatchKind::Exists).insert(path);
            }
            Registration::Remove { kinds, path, local }
                if result.is_ok() || (local && result == ErrorCode::CONNECTION_LOSS) =>
            {
                let mut told = Vec::new();
                for kind in kinds {
                    if self.set(*kind).remove(&path) {
                        let event = match kind {
                            WatchKind::Data | WatchKind::Exists => EventType::DATA_WATCH_REMOVED,
                            WatchKind::Children => EventType::CHILD_WATCH_REMOVED,
                            _ => EventType::PERSISTENT_WATCH_REMOVED,
                        };
                        told.push((event, path.clone()));
                    }
                }
                told.dedup();
                return match told.is_empty() {
                    true => Err(ErrorCode::NO_WATCHER),
                    false => Ok(told),
                };
            }
            _ => {}
        }
        Ok(Vec::new())
    }

    /// Whether anybody waits for the event; who waited for one event only does no more.
    pub fn fire(&mut self, kind: EventType, path: &str) -> bool {
        let once: &[WatchKind] = match kind {
            EventType::NODE_CREATED | EventType::NODE_DATA_CHANGED => {
                &[WatchKind::Data, WatchKind::Exists]
            }
            EventType::NODE_CHILDREN_CHANGED => &[WatchKind::Children],
            EventType::NODE_DELETED => &[WatchKind::Data, WatchKind::Exists, WatchKind::Children],
            _ => &[],
        };
        let mut is_for_somebody = false;
        for kind in once {
            is_for_somebody |= self.set(*kind).remove(path);
        }
        is_for_somebody |= self.set(WatchKind::Persistent).contains(path);
        is_for_somebody
            || (kind != EventType::NODE_CHILDREN_CHANGED
                && above(path).any(|path| self.sets[WatchKind::Recursive as usize].contains(path)))
    }

    /// The path as the user knows it.
    pub fn shown<'a>(&self, path: &'a str) -> &'a str {
        let inside = self
            .chroot
            .as_deref()
            .and_then(|chroot| path.strip_prefix(chroot));
        match inside {
            Some("") => "/",
            Some(inside) if inside.starts_with('/') => inside,
            _ => path,
        }
    }

    /// What to tell the server of another connection, in packets.
    pub fn to_renew(&self, zxid: i64) -> Vec<SetWatches2<'static>> {
        let mut packets = Vec::new();
        let mut lists: [Vec<Text<'static>>; 5] = Default::default();
        let mut bytes = 0;
        let pack = |lists: &mut [Vec<Text<'static>>; 5]| {
            let [data, exist, child, persistent, recursive] = std::mem::take(lists);
            SetWatches2 {
                relative_zxid: zxid,
                data_watches: Some(data),
                exist_watches: Some(exist),
                child_watches: Some(child),
                persistent_watches: Some(persistent),
                persistent_recursive_watches: Some(recursive),
            }
        };
        for kind in WatchKind::ALL {
            for path in &self.sets[kind as usize] {
                lists[kind as usize].push(Text::from(path.clone()));
                bytes += path.len();
                if bytes >= PACKET_BYTES {
                    packets.push(pack(&mut lists));
                    bytes = 0;
                }
            }
        }
        if lists.iter().any(|list| !list.is_empty()) {
            packets.push(pack(&mut lists));
        }
        packets
    }
}

/// The path, what is above it, and the root.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        let (parent, _) = path.rsplit_once('/')?;
        match (parent, *path) {
            (_, "/") => None,
            ("", _) => Some("/"),
            (parent, _) => Some(parent),
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn add(watches: &mut Watches, kind: WatchKind, path: &str) {
        let told = watches.answered(Registration::Add(kind, path.to_owned()), ErrorCode::OK);
        assert_eq!(told, Ok(Vec::new()));
    }

    #[test]
    fn a_plain_watch_is_for_one_event() {
        let mut watches = Watches::new(None);
        add(&mut watches, WatchKind::Data, "/a");
        assert!(!watches.fire(EventType::NODE_CHILDREN_CHANGED, "/a"));
        assert!(!watches.fire(EventType::NODE_DATA_CHANGED, "/b"));
        assert!(watches.fire(EventType::NODE_DATA_CHANGED, "/a"));
        assert!(!watches.fire(EventType::NODE_DATA_CHANGED, "/a"));
    }

    #[test]
    fn persistent_ones_stay_and_recursive_ones_see_what_is_below_but_no_lists() {
        let mut watches = Watches::new(None);
        add(&mut watches, WatchKind::Persistent, "/p");
        add(&mut watches, WatchKind::Recursive, "/r");
        for _ in 0..2 {
            assert!(watches.fire(EventType::NODE_CHILDREN_CHANGED, "/p"));
            assert!(watches.fire(EventType::NODE_CREATED, "/r/a/b"));
            assert!(watches.fire(EventType::NODE_DELETED, "/r"));
        }
        assert!(!watches.fire(EventType::NODE_CREATED, "/p/a"));
        assert!(!watches.fire(EventType::NODE_CHILDREN_CHANGED, "/r"));
        assert!(!watches.fire(EventType::NODE_CREATED, "/rx"));
    }

    #[test]
    fn removal_says_what_was_there() {
        let mut watches = Watches::new(None);
        let remove = |local| Registration::Remove {
            kinds: &WatchKind::ALL,
            path: "/a".to_owned(),
            local,
        };
        assert_eq!(
            watches.answered(remove(false), ErrorCode::OK),
            Err(ErrorCode::NO_WATCHER)
        );
        add(&mut watches, WatchKind::Data, "/a");
        add(&mut watches, WatchKind::Children, "/a");
        let lost = ErrorCode::CONNECTION_LOSS;
        assert_eq!(watches.answered(remove(false), lost), Ok(Vec::new()));
        let told = watches.answered(remove(true), lost).unwrap();
        let kinds: Vec<EventType> = told.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [
                EventType::DATA_WATCH_REMOVED,
                EventType::CHILD_WATCH_REMOVED
            ]
        );
        assert!(!watches.fire(EventType::NODE_DELETED, "/a"));
    }

    #[test]
    fn renewed_in_packets_of_bounded_size() {
        let mut watches = Watches::new(None);
        assert!(watches.to_renew(7).is_empty());
        let long = "x".repeat(1000);
        for i in 0..300 {
            add(&mut watches, WatchKind::Exists, &format!("/{long}{i}"));
        }
        add(&mut watches, WatchKind::Recursive, "/r");
        let packets = watches.to_renew(7);
        assert_eq!(packets.len(), 3);
        let paths = |packet: &SetWatches2<'_>| packet.exist_watches.as_ref().unwrap().len();
        assert_eq!(packets.iter().map(paths).sum::<usize>(), 300);
        let last = packets.last().unwrap();
        assert_eq!(last.persistent_recursive_watches.as_ref().unwrap().len(), 1);
    }

    #[test]
    fn a_chroot_is_not_shown() {
        let watches = Watches::new(Some("/c".to_owned()));
        assert_eq!(watches.shown("/c"), "/");
        assert_eq!(watches.shown("/c/a"), "/a");
        assert_eq!(watches.shown("/config/a"), "/config/a");
    }
}
