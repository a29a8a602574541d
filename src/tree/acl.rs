//! Lists of ACL entries, each distinct list stored once and named by a number that nodes carry.
//! Answers to `ReferenceCountedACLCache`.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::auth::AclEntry;
use crate::proto::{Acl, Id};
use jute::Text;

pub type AclList = Arc<[AclEntry]>;

pub fn to_wire(entry: &AclEntry) -> Acl<'_> {
    Acl {
        perms: entry.perms,
        id: Id {
            scheme: Text::from(&*entry.scheme),
            id: Text::from(&*entry.id),
        },
    }
}

pub fn from_wire(acl: &Acl<'_>) -> AclEntry {
    AclEntry::new(acl.perms, acl.id.scheme.or_empty(), acl.id.id.or_empty())
}

struct Slot {
    list: AclList,
    nodes: u64,
}

/// Number 0 is `world:anyone` with every right, which nearly every node has; it is never given up.
pub struct AclTable {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_list: HashMap<AclList, u32, RandomState>,
    /// Numbers whose meaning changed since the last checkpoint.
    pub(super) dirty: Vec<u32>,
}

pub const OPEN: u32 = 0;

impl Default for AclTable {
    fn default() -> Self {
        let open: AclList = Arc::from([AclEntry::world(crate::auth::perm::ALL)]);
        let mut by_list = HashMap::default();
        by_list.insert(open.clone(), OPEN);
        AclTable {
            slots: vec![Some(Slot {
                list: open,
                nodes: 1,
            })],
            free: Vec::new(),
            by_list,
            dirty: Vec::new(),
        }
    }
}

impl AclTable {
    pub fn get(&self, id: u32) -> &AclList {
        match self.slots.get(id as usize) {
            Some(Some(slot)) => &slot.list,
            _ => panic!("a node names ACL {id}, which is not in the table"),
        }
    }

    pub fn find(&self, id: u32) -> Option<&AclList> {
        self.slots
            .get(id as usize)
            .and_then(|s| s.as_ref())
            .map(|s| &s.list)
    }

    /// One more node has this list.
    pub(super) fn take(&mut self, list: AclList) -> u32 {
        if let Some(&id) = self.by_list.get(&list) {
            if let Some(Some(slot)) = self.slots.get_mut(id as usize) {
                slot.nodes += 1;
            }
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.by_list.insert(list.clone(), id);
        self.slots[id as usize] = Some(Slot { list, nodes: 1 });
        self.dirty.push(id);
        id
    }

    /// One more node has the list of this number, read back from disk.
    pub(super) fn take_id(&mut self, id: u32) -> Result<(), String> {
        match self.slots.get_mut(id as usize) {
            Some(Some(slot)) => {
                slot.nodes += 1;
                Ok(())
            }
            _ => Err(format!("ACL {id} is not stored")),
        }
    }

    pub(super) fn give_back(&mut self, id: u32) {
        let Some(Some(slot)) = self.slots.get_mut(id as usize) else {
            return;
        };
        slot.nodes -= 1;
        if slot.nodes == 0 {
            self.by_list.remove(&slot.list);
            self.slots[id as usize] = None;
            self.free.push(id);
            self.dirty.push(id);
        }
    }

    /// A list read back from disk, before the nodes that use it.
    pub(super) fn restore(&mut self, id: u32, list: AclList) {
        let index = id as usize;
        if id == OPEN {
            return;
        }
        while self.slots.len() <= index {
            self.slots.push(None);
        }
        self.by_list.insert(list.clone(), id);
        self.slots[index] = Some(Slot { list, nodes: 0 });
    }

    /// After the nodes are read back: what nobody uses may be given to others.
    pub(super) fn restored(&mut self) {
        for index in 1..self.slots.len() {
            if self.slots[index].as_ref().is_some_and(|s| s.nodes == 0)
                && let Some(slot) = self.slots[index].take()
            {
                self.by_list.remove(&slot.list);
                self.dirty.push(index as u32);
            }
            if self.slots[index].is_none() {
                self.free.push(index as u32);
            }
        }
    }

    /// Every list but the open one.
    pub(super) fn lists(&self) -> impl Iterator<Item = (u32, &AclList)> {
        let slots = self.slots.iter().enumerate().skip(1);
        slots.filter_map(|(id, slot)| slot.as_ref().map(|slot| (id as u32, &slot.list)))
    }

    pub fn len(&self) -> usize {
        self.by_list.len()
    }

    pub fn is_empty(&self) -> bool {
        false
    }
}
