//! The network between servers: for each pair a lane of the election port, and the links of the quorum port.
//! What crosses is bytes, as it would be on a socket; only a snapshot's stream crosses as the tree that it is.
//!
//! A blocked direction holds back what is on its way, as TCP does, until it is open again or the link is given up.
//! Knows nothing of time: the world says when something arrives. Answers to `QuorumCnxManager` and the sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::image::Image;
use crate::ids::LinkId;

/// A server's place in the world.
pub type NodeIx = usize;

#[derive(Clone)]
pub enum Payload {
    Packet(Vec<u8>),
    /// Behind a SNAP packet: the stream and its end mark.
    Stream(Arc<Image>),
    /// The other end closed.
    Fin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Dialler,
    Listener,
}

impl Side {
    pub fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Listener,
            Side::Listener => Side::Dialler,
        }
    }

    fn at(self) -> usize {
        self as usize
    }
}

/// A link by the world's number; each end has a [`LinkId`] of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WireId(pub u64);

impl WireId {
    pub fn link(self, side: Side) -> LinkId {
        LinkId(self.0 * 2 + side.at() as u64)
    }

    pub fn of(link: LinkId) -> (WireId, Side) {
        let side = if link.0.is_multiple_of(2) {
            Side::Dialler
        } else {
            Side::Listener
        };
        (WireId(link.0 / 2), side)
    }
}

#[derive(Clone, Copy)]
pub struct End {
    pub node: NodeIx,
    pub open: bool,
}

/// One direction of a link.
#[derive(Default)]
pub struct Pipe {
    pub in_flight: VecDeque<Payload>,
    /// When the last of them arrives: later ones do not overtake it.
    pub last_at: u64,
}

pub struct Wire {
    pub ends: [End; 2],
    /// By the side that sends.
    pub pipes: [Pipe; 2],
}

impl Wire {
    pub fn end(&self, side: Side) -> &End {
        &self.ends[side.at()]
    }

    pub fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side.at()]
    }

    pub fn pipe(&mut self, from: Side) -> &mut Pipe {
        &mut self.pipes[from.at()]
    }
}

/// One direction of an election connection: room for one message that waits, and a newer one replaces it.
#[derive(Default)]
pub struct Lane {
    pub waiting: Option<Vec<u8>>,
    /// What was sent last: sent again when the connection comes back and nothing newer waits.
    pub last: Option<Vec<u8>>,
    /// Somebody is on the way to send what waits.
    pub busy: bool,
    pub broken: bool,
}

pub struct Network {
    nodes: usize,
    blocked: Vec<bool>,
    pub lanes: Vec<Lane>,
    pub wires: BTreeMap<WireId, Wire>,
    next_wire: u64,
}

impl Network {
    pub fn new(nodes: usize) -> Network {
        Network {
            nodes,
            blocked: vec![false; nodes * nodes],
            lanes: (0..nodes * nodes).map(|_| Lane::default()).collect(),
            wires: BTreeMap::new(),
            next_wire: 1,
        }
    }

    pub fn is_blocked(&self, from: NodeIx, to: NodeIx) -> bool {
        self.blocked[from * self.nodes + to]
    }

    pub fn block(&mut self, from: NodeIx, to: NodeIx) {
        if from != to {
            self.blocked[from * self.nodes + to] = true;
        }
    }

    pub fn heal(&mut self) {
        self.blocked.fill(false);
    }

    pub fn can_talk(&self, a: NodeIx, b: NodeIx) -> bool {
        !self.is_blocked(a, b) && !self.is_blocked(b, a)
    }

    pub fn lane(&mut self, from: NodeIx, to: NodeIx) -> &mut Lane {
        &mut self.lanes[from * self.nodes + to]
    }

    pub fn connect(&mut self, dialler: NodeIx, listener: NodeIx) -> WireId {
        let id = WireId(self.next_wire);
        self.next_wire += 1;
        let end = |node| End { node, open: true };
        self.wires.insert(
            id,
            Wire {
                ends: [end(dialler), end(listener)],
                pipes: Default::default(),
            },
        );
        id
    }

    /// Forgets links that neither end has open any more.
    pub fn sweep(&mut self) {
        self.wires
            .retain(|_, wire| wire.ends.iter().any(|end| end.open));
    }

    /// The open ends of a server, oldest first.
    pub fn ends_of(&self, node: NodeIx) -> Vec<(WireId, Side)> {
        let mut found = Vec::new();
        for (id, wire) in &self.wires {
            for side in [Side::Dialler, Side::Listener] {
                let end = wire.end(side);
                if end.open && end.node == node {
                    found.push((*id, side));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_id_names_its_wire_and_side() {
        let wire = WireId(9);
        for side in [Side::Dialler, Side::Listener] {
            assert_eq!(WireId::of(wire.link(side)), (wire, side));
        }
        assert_ne!(wire.link(Side::Dialler), wire.link(Side::Listener));
    }

    #[test]
    fn a_one_way_partition_blocks_one_way() {
        let mut network = Network::new(3);
        network.block(0, 2);
        assert!(network.is_blocked(0, 2) && !network.is_blocked(2, 0));
        assert!(!network.can_talk(0, 2) && network.can_talk(0, 1));
        network.heal();
        assert!(network.can_talk(0, 2));
    }
}
