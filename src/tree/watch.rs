//! Who watches what. Answers to `WatchManager`, with both of its tables in one: an entry for each watched path
//! with a few bits for each connection.
//!
//! Knows connections by number only; who they are and how they are told is the caller's business.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::ids::ConnId;

/// The modes of one connection on one path, over both of upstream's tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes(u8);

impl Modes {
    pub const DATA: Modes = Modes(1);
    pub const CHILD: Modes = Modes(2);
    pub const DATA_PERSISTENT: Modes = Modes(4);
    pub const CHILD_PERSISTENT: Modes = Modes(8);
    pub const PERSISTENT: Modes = Modes(4 | 8);
    pub const RECURSIVE: Modes = Modes(16);
    pub const ANY: Modes = Modes(31);
    /// What an event at exactly this path reaches through the data table.
    const DATA_TABLE: Modes = Modes(1 | 4 | 16);
    /// The same through the child table.
    const CHILD_TABLE: Modes = Modes(2 | 8);

    pub fn intersects(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }

    fn insert(&mut self, other: Modes) {
        self.0 |= other.0;
    }

    fn remove(&mut self, other: Modes) {
        self.0 &= !other.0;
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Data,
    Child,
}

#[derive(Debug)]
struct Watched {
    path: Box<str>,
    /// Sorted by connection: they come in rising order, so this is an append nearly always.
    by: Vec<(ConnId, Modes)>,
}

#[derive(Debug, Default)]
pub struct Watches {
    ids: HashMap<Box<str>, u32, RandomState>,
    watched: Vec<Option<Watched>>,
    free: Vec<u32>,
    by_conn: HashMap<ConnId, Vec<u32>, RandomState>,
    recursive: usize,
    total: usize,
}

impl Watches {
    pub fn add(&mut self, conn: ConnId, path: &str, modes: Modes) {
        let id = match self.ids.get(path) {
            Some(&id) => id,
            None => {
                let id = self.free.pop().unwrap_or_else(|| {
                    self.watched.push(None);
                    (self.watched.len() - 1) as u32
                });
                self.ids.insert(path.into(), id);
                self.watched[id as usize] = Some(Watched {
                    path: path.into(),
                    by: Vec::new(),
                });
                id
            }
        };
        let Some(watched) = &mut self.watched[id as usize] else {
            return;
        };
        let at = match watched.by.binary_search_by_key(&conn, |w| w.0) {
            Ok(at) => at,
            Err(at) => {
                watched.by.insert(at, (conn, Modes::default()));
                self.by_conn.entry(conn).or_default().push(id);
                at
            }
        };
        let held = &mut watched.by[at].1;
        if modes.intersects(Modes::RECURSIVE) && !held.intersects(Modes::RECURSIVE) {
            self.recursive += 1;
        }
        self.total -= held.count();
        held.insert(modes);
        self.total += held.count();
    }

    /// Takes modes away; says whether any of them was there.
    pub fn remove(&mut self, conn: ConnId, path: &str, modes: Modes) -> bool {
        let Some(&id) = self.ids.get(path) else {
            return false;
        };
        self.strip(id, conn, modes)
    }

    pub fn has(&self, conn: ConnId, path: &str, modes: Modes) -> bool {
        self.at(path)
            .and_then(|w| {
                w.by.binary_search_by_key(&conn, |w| w.0)
                    .ok()
                    .map(|i| w.by[i].1)
            })
            .is_some_and(|held| held.intersects(modes))
    }

    /// The connection is gone; costs what it held.
    pub fn remove_conn(&mut self, conn: ConnId) {
        for id in self.by_conn.remove(&conn).unwrap_or_default() {
            self.strip(id, conn, Modes::ANY);
        }
    }

    /// Who hears of an event at `path` through `table`; one-shot watches there are used up.
    /// `out` comes back sorted and without doubles.
    pub fn trigger(&mut self, path: &str, table: Table, out: &mut Vec<ConnId>) {
        out.clear();
        if self.ids.is_empty() {
            return;
        }
        let (reach, once) = match table {
            Table::Data => (Modes::DATA_TABLE, Modes::DATA),
            Table::Child => (Modes::CHILD_TABLE, Modes::CHILD),
        };
        if let Some(&id) = self.ids.get(path) {
            let mut spent = false;
            if let Some(watched) = &mut self.watched[id as usize] {
                for (conn, held) in &mut watched.by {
                    if held.intersects(reach) {
                        out.push(*conn);
                    }
                    if held.intersects(once) {
                        held.remove(once);
                        self.total -= 1;
                        spent |= held.is_empty();
                    }
                }
            }
            if spent {
                self.sweep(id);
            }
        }
        if table == Table::Data && self.recursive > 0 {
            let direct = out.len();
            let mut rest = path;
            while let Some(at) = rest.rfind('/') {
                let parent = if at == 0 { "/" } else { &rest[..at] };
                if parent != path
                    && let Some(watched) = self.at(parent)
                {
                    out.extend(
                        watched
                            .by
                            .iter()
                            .filter(|w| w.1.intersects(Modes::RECURSIVE))
                            .map(|w| w.0),
                    );
                }
                rest = &rest[..at];
            }
            if out.len() > direct {
                out.sort_unstable();
                out.dedup();
            }
        }
    }

    fn at(&self, path: &str) -> Option<&Watched> {
        self.ids
            .get(path)
            .and_then(|&id| self.watched[id as usize].as_ref())
    }

    fn strip(&mut self, id: u32, conn: ConnId, modes: Modes) -> bool {
        let Some(watched) = &mut self.watched[id as usize] else {
            return false;
        };
        let Ok(at) = watched.by.binary_search_by_key(&conn, |w| w.0) else {
            return false;
        };
        let held = &mut watched.by[at].1;
        let before = *held;
        held.remove(modes);
        self.total -= before.count() - held.count();
        if before.intersects(modes)
            && before.intersects(Modes::RECURSIVE)
            && !held.intersects(Modes::RECURSIVE)
        {
            self.recursive -= 1;
        }
        if held.is_empty() {
            watched.by.remove(at);
            self.forget(conn, id);
            self.drop_if_unused(id);
        }
        before.intersects(modes)
    }

    /// Removes the connections whose last mode was used up by a trigger.
    fn sweep(&mut self, id: u32) {
        let Some(watched) = &mut self.watched[id as usize] else {
            return;
        };
        let mut gone = Vec::new();
        watched.by.retain(|(conn, held)| {
            if held.is_empty() {
                gone.push(*conn);
            }
            !held.is_empty()
        });
        for conn in gone {
            self.forget(conn, id);
        }
        self.drop_if_unused(id);
    }

    fn forget(&mut self, conn: ConnId, id: u32) {
        if let Some(ids) = self.by_conn.get_mut(&conn) {
            // Newest first: one-shot watches go in about the order they came.
            if let Some(at) = ids.iter().rposition(|i| *i == id) {
                ids.swap_remove(at);
            }
            if ids.is_empty() {
                self.by_conn.remove(&conn);
            }
        }
    }

    fn drop_if_unused(&mut self, id: u32) {
        let slot = &mut self.watched[id as usize];
        if slot.as_ref().is_some_and(|w| w.by.is_empty())
            && let Some(watched) = slot.take()
        {
            self.ids.remove(&watched.path);
            self.free.push(id);
        }
    }

    pub fn total(&self) -> usize {
        self.total
    }

    pub fn path_count(&self) -> usize {
        self.ids.len()
    }

    pub fn conn_count(&self) -> usize {
        self.by_conn.len()
    }

    /// Every path with the connections that watch its data.
    pub fn data_watches(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = ConnId> + '_)> {
        self.watched.iter().flatten().map(|w| {
            (
                &*w.path,
                w.by.iter()
                    .filter(|(_, held)| held.intersects(Modes::DATA_TABLE))
                    .map(|(conn, _)| *conn),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn fired(watches: &mut Watches, path: &str, table: Table) -> Vec<u32> {
        let mut out = Vec::new();
        watches.trigger(path, table, &mut out);
        out.into_iter().map(|c| c.0).collect()
    }

    #[test]
    fn one_shot_fires_once_and_leaves_nothing() {
        let mut w = Watches::default();
        w.add(A, "/a", Modes::DATA);
        w.add(A, "/a", Modes::DATA);
        w.add(B, "/a", Modes::CHILD);
        assert_eq!(fired(&mut w, "/a", Table::Data), [1]);
        assert_eq!(fired(&mut w, "/a", Table::Data), [0u32; 0]);
        assert_eq!(fired(&mut w, "/a", Table::Child), [2]);
        assert_eq!((w.total(), w.path_count(), w.conn_count()), (0, 0, 0));
    }

    #[test]
    fn recursive_hears_descendants_once_and_nothing_of_children_lists() {
        let mut w = Watches::default();
        w.add(A, "/", Modes::RECURSIVE);
        w.add(A, "/a/b", Modes::RECURSIVE);
        w.add(B, "/a/b/c", Modes::DATA);
        assert_eq!(fired(&mut w, "/a/b/c", Table::Data), [1, 2]);
        assert_eq!(fired(&mut w, "/a/b/c", Table::Data), [1]);
        assert_eq!(fired(&mut w, "/x", Table::Data), [1]);
        assert_eq!(fired(&mut w, "/a/b", Table::Child), [0u32; 0]);
        assert!(w.remove(A, "/", Modes::RECURSIVE));
        assert_eq!(fired(&mut w, "/x", Table::Data), [0u32; 0]);
        assert_eq!(fired(&mut w, "/a/b", Table::Data), [1]);
    }

    #[test]
    fn a_connection_takes_its_watches_along() {
        let mut w = Watches::default();
        for i in 0..100 {
            w.add(A, &format!("/{i}"), Modes::PERSISTENT);
            w.add(B, &format!("/{i}"), Modes::DATA);
        }
        assert_eq!(w.total(), 300);
        w.remove_conn(A);
        assert_eq!((w.total(), w.path_count(), w.conn_count()), (100, 100, 1));
        assert!(!w.has(A, "/5", Modes::ANY));
        assert!(w.has(B, "/5", Modes::DATA));
        assert!(!w.remove(A, "/5", Modes::ANY));
    }
}
