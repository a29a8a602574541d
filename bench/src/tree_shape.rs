//! The tree that `fill` makes: four levels, every name twelve characters, a thousand leaves under a parent.
//! Names are computed from a leaf's number, so that later works find the leaves without a list of them.

pub const FILL_ROOT: &str = "/zkload-fill0";

const LEAVES_PER_PARENT: u64 = 1000;
const PARENTS_PER_GROUP: u64 = 100;

#[derive(Clone)]
pub struct FillTree {
    leaves: u64,
}

impl FillTree {
    pub fn new(leaves: u64) -> FillTree {
        FillTree { leaves }
    }

    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The inner nodes from the top down, a list for each level.
    pub fn inner_levels(&self) -> [Vec<String>; 3] {
        let parents = self.leaves.div_ceil(LEAVES_PER_PARENT);
        let groups = parents.div_ceil(PARENTS_PER_GROUP);
        [
            vec![FILL_ROOT.to_string()],
            (0..groups).map(group).collect(),
            (0..parents).map(parent).collect(),
        ]
    }

    pub fn leaf(&self, n: u64) -> String {
        let mut path = parent(n / LEAVES_PER_PARENT);
        push_name(&mut path, n);
        path
    }
}

fn group(n: u64) -> String {
    let mut path = String::with_capacity(4 * 13);
    path.push_str(FILL_ROOT);
    push_name(&mut path, n);
    path
}

fn parent(n: u64) -> String {
    let mut path = group(n / PARENTS_PER_GROUP);
    push_name(&mut path, n);
    path
}

/// Twelve hex digits that look random and differ for all numbers: each step can be undone within 48 bits.
fn push_name(path: &mut String, n: u64) {
    const MASK: u64 = (1 << 48) - 1;
    let mut x = n & MASK;
    for factor in [0x9e37_79b9_7f4b, 0xbf58_476d_1ce5] {
        x = x.wrapping_mul(factor) & MASK;
        x ^= x >> 25;
    }
    path.push('/');
    for shift in (0..12).rev() {
        path.push(char::from(
            b"0123456789abcdef"[(x >> (shift * 4)) as usize & 15],
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_leaf_has_depth_four_names_of_twelve_and_a_parent_that_is_made() {
        let tree = FillTree::new(250_000);
        let [_, groups, parents] = tree.inner_levels();
        let (groups, parents): (HashSet<_>, HashSet<_>) =
            (groups.into_iter().collect(), parents.into_iter().collect());
        let mut seen = HashSet::new();
        for n in 0..tree.leaves() {
            let leaf = tree.leaf(n);
            assert!(leaf.split('/').skip(1).map(str::len).eq([12; 4]), "{leaf}");
            let parent = &leaf[..39];
            assert!(
                parents.contains(parent) && groups.contains(&parent[..26]),
                "{leaf}"
            );
            assert!(seen.insert(leaf));
        }
    }
}
