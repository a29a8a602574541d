//! Trees and session tables are equal wherever they are at the same zxid.

use std::collections::BTreeMap;

use super::{Verdict, violated};
use crate::ids::Zxid;
use crate::sim::image;
use crate::sim::network::NodeIx;
use crate::tree::Tree;

const NAME: &str = "digest";

#[derive(Default)]
pub struct Digests {
    seen: BTreeMap<Zxid, (NodeIx, u64)>,
}

impl Digests {
    pub fn at(&mut self, node: NodeIx, zxid: Zxid, tree: &Tree) -> Verdict {
        let digest = image::digest(tree);
        let first = *self.seen.entry(zxid).or_insert((node, digest));
        if first.1 == digest {
            return Ok(());
        }
        violated(
            NAME,
            format!(
                "servers {} and {node} have different trees at {zxid}",
                first.0
            ),
        )
    }
}
