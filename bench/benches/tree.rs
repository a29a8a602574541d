//! The tree alone: finding, reading and changing nodes among 100,000.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ferrokeeper::tree::{Kind, NewNode, Tree};

const PARENTS: usize = 100;
const LEAVES: usize = 1000;

fn leaf(n: usize) -> String {
    format!(
        "/benchmark000/parent{:06}/leaf{:08}",
        n / LEAVES,
        n % LEAVES
    )
}

fn new_node<'a>(tree: &Tree, path: &'a str, data: &'a [u8]) -> NewNode<'a> {
    NewNode {
        path,
        data: Some(data),
        acl: tree.open_acl(),
        kind: Kind::Persistent,
        parent_cversion: -1,
        zxid: 1,
        time: 1,
    }
}

fn add(tree: &mut Tree, path: &str) {
    let node = new_node(tree, path, &[7; 100]);
    tree.create(node)
        .expect("parents come first and every path once");
}

fn filled() -> (Tree, Vec<String>) {
    let mut tree = Tree::new(false);
    add(&mut tree, "/benchmark000");
    for n in 0..PARENTS {
        add(&mut tree, &format!("/benchmark000/parent{n:06}"));
    }
    let leaves: Vec<String> = (0..PARENTS * LEAVES).map(leaf).collect();
    for path in &leaves {
        add(&mut tree, path);
    }
    // A checkpoint's worth of changes has been taken, as in a server that runs.
    let mut image = tree.begin_image();
    while tree.take_nodes(&mut image, usize::MAX, |_, _| ()) {}
    (tree, leaves)
}

/// An order in which neighbours are far apart: 7919 has no factor in common with the number of leaves.
fn scattered(leaves: &[String]) -> impl Iterator<Item = &String> {
    (0..).map(|n: usize| &leaves[n * 7919 % leaves.len()])
}

fn benches(c: &mut Criterion) {
    let (mut tree, leaves) = filled();
    let mut group = c.benchmark_group("tree of 100,000");

    let mut order = scattered(&leaves);
    group.bench_function("find and stat", |b| {
        b.iter(|| {
            let node = order
                .next()
                .and_then(|path| tree.get(path))
                .expect("it was made above");
            black_box(tree.stat(node))
        })
    });

    let parent = tree
        .find("/benchmark000/parent000042")
        .expect("it was made above");
    let mut out = Vec::with_capacity(1 << 16);
    group.bench_function("listing of 1000 children", |b| {
        b.iter(|| {
            out.clear();
            tree.listing(parent, &mut out);
            black_box(out.len())
        })
    });

    let mut order = scattered(&leaves);
    let mut version = 0;
    group.bench_function("set 100 bytes", |b| {
        b.iter(|| {
            let id = order
                .next()
                .and_then(|path| tree.find(path))
                .expect("it was made above");
            version += 1;
            tree.set_data(id, Some(black_box(&[8; 100])), version, 2, 2);
        })
    });

    group.bench_function("create and delete", |b| {
        b.iter_batched_ref(
            || (),
            |()| {
                let node = new_node(&tree, "/benchmark000/parent000042/another", &[7; 100]);
                let id = tree.create(node).expect("it was deleted before");
                tree.delete(id, 3);
            },
            BatchSize::SmallInput,
        )
    });
    group.finish();
}

criterion_group!(tree, benches);
criterion_main!(tree);
