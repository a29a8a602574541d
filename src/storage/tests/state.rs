//! Checkpoints, and that checkpoint plus replay is the tree.

use super::*;
use proptest::prelude::*;

#[test]
fn a_batch_with_room_for_some_nodes_does_not_grow_for_them() {
    let data = [7; 1000];
    let node = NodeRecord {
        data: Some(&data),
        ..NodeRecord::default()
    };
    let mut batch = CheckpointBatch::new(1);
    for round in 0..100 {
        batch.make_room(64, 1 << 20);
        let room = batch.capacity();
        for child in 0..64 {
            batch.put_node(&format!("/some/where/{round}/{child}"), &node);
        }
        assert_eq!(batch.capacity(), room);
    }
    assert_eq!(batch.len(), 6400);
}

#[test]
fn acls_sessions_and_nodes_come_back_parents_first() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=7, 1);
    let mut batch = CheckpointBatch::new(7);
    let node = NodeRecord {
        mzxid: 3,
        data: Some(b"x"),
        ..NodeRecord::default()
    };
    for path in ["/a/b/c", "/a-b", "/a", "/", "/a/b"] {
        batch.put_node(path, &node);
    }
    batch.put_session(-1, 4000);
    batch.put_session(77, 6000);
    batch.put_acl(1, b"world");
    batch.put_acl(300, b"digest");
    assert_eq!(batch.len(), 9);
    storage.state.write(batch).unwrap();
    let mut batch = CheckpointBatch::new(7);
    batch.delete_node("/a-b");
    batch.delete_session(77);
    batch.delete_acl(1);
    storage.state.write(batch).unwrap();
    drop(storage);
    let (_, restored) = open_at(dir.path()).unwrap();
    let paths: Vec<_> = restored.twin.nodes.keys().cloned().collect();
    assert_eq!(paths, ["/", "/a", "/a/b", "/a/b/c"]);
    assert_eq!(restored.twin.sessions, BTreeMap::from([(-1, 4000)]));
    assert_eq!(
        restored.twin.acls,
        BTreeMap::from([(300, b"digest".to_vec())])
    );
    assert_eq!((restored.marker, restored.replayed.len()), (Some(7), 0));
}

#[test]
fn a_checkpoint_is_not_there_before_its_end_and_the_log_covers_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=7, 1);
    let parts = |checkpoint: &mut Checkpoint<'_>| {
        for part in ["/a", "/b"] {
            let mut batch = CheckpointBatch::new(5);
            batch.put_node(part, &NodeRecord::default());
            checkpoint.put(&mut batch).unwrap();
            assert!(batch.is_empty());
        }
    };
    let mut checkpoint = storage.state.begin(5, 0).unwrap();
    parts(&mut checkpoint);
    let image = crash_image(dir.path());
    let (_, restored) = open_at(image.path()).unwrap();
    assert_eq!((restored.marker, restored.replayed.len()), (Some(0), 7));
    let tables = dir.path().join("ferrokeeper/state/tables");
    assert_eq!(fs::read_dir(&tables).unwrap().count(), 2);
    drop(checkpoint);
    assert_eq!(fs::read_dir(&tables).unwrap().count(), 0);
    assert_eq!(storage.state.durable_zxid(), 0);

    let mut checkpoint = storage.state.begin(5, 0).unwrap();
    parts(&mut checkpoint);
    checkpoint.finish().unwrap();
    assert_eq!(storage.state.durable_zxid(), 5);
    let image = crash_image(dir.path());
    let (_, restored) = open_at(image.path()).unwrap();
    assert_eq!(restored.replayed, [6, 7]);
    assert!(restored.twin.nodes.contains_key("/a") && restored.twin.nodes.contains_key("/b"));
}

#[test]
fn what_a_start_replays_is_behind_until_the_next_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=7, 100);
    assert!(storage.state.log_bytes_behind() > 700);
    drop(storage);
    let (mut storage, _) = open_at(dir.path()).unwrap();
    assert!(storage.state.log_bytes_behind() > 700);
    append(&mut storage.log, 8..=8, 100);
    assert!(storage.state.log_bytes_behind() > 800);
    storage.state.write(CheckpointBatch::new(8)).unwrap();
    assert_eq!(storage.state.log_bytes_behind(), 0);
}

#[test]
fn what_was_said_last_of_a_key_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=1, 1);
    let node = |mzxid| NodeRecord {
        mzxid,
        ..NodeRecord::default()
    };
    let mut checkpoint = storage.state.begin(1, 0).unwrap();
    let mut batch = CheckpointBatch::new(1);
    batch.delete_node("/a");
    batch.put_node("/a", &node(1));
    batch.put_node("/b", &node(1));
    batch.delete_node("/b");
    batch.delete_node("/c");
    batch.put_node("/d", &node(1));
    checkpoint.put(&mut batch).unwrap();
    batch.put_node("/c", &node(2));
    batch.put_node("/d", &node(2));
    checkpoint.put(&mut batch).unwrap();
    checkpoint.finish().unwrap();
    drop(storage);
    let (_, restored) = open_at(dir.path()).unwrap();
    let nodes: Vec<_> = restored
        .twin
        .nodes
        .iter()
        .map(|(p, n)| (&**p, n.0))
        .collect();
    assert_eq!(nodes, [("/a", 1), ("/c", 2), ("/d", 2)]);
}

#[test]
fn an_idle_store_gives_its_log_back() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=700, 200);
    storage.state.write(CheckpointBatch::new(700)).unwrap();
    let handle = storage.log.handle();
    assert!(
        !storage.state.tidy_if_idle().unwrap(),
        "there was an append since the last tick"
    );
    assert!(storage.state.tidy_if_idle().unwrap());
    assert!(
        !storage.state.tidy_if_idle().unwrap(),
        "nothing is left to give back"
    );
    handle.settle();
    assert_eq!(files(&log_db(dir.path()), ".sst").len(), 1);
    append(&mut storage.log, 701..=701, 200);
    drop((storage, handle));
    let (_, restored) = open_at(dir.path()).unwrap();
    assert_eq!((restored.marker, restored.replayed), (Some(700), vec![701]));
}

#[test]
#[should_panic(expected = "a checkpoint of 0x8 between")]
fn a_state_ahead_of_the_log_is_a_broken_invariant() {
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=7, 1);
    let _ = storage.state.write(CheckpointBatch::new(8));
}

#[test]
fn a_refusal_of_the_tree_stops_the_start() {
    struct Refuses;
    impl Restore for Refuses {
        fn acl(&mut self, _: u32, _: &[u8]) -> Result<(), String> {
            Ok(())
        }
        fn session(&mut self, _: i64, _: i32) {}
        fn node(&mut self, _: &str, _: NodeRecord<'_>) -> Result<(), String> {
            Ok(())
        }
        fn marker(&mut self, _: i64) {}
        fn txn(&mut self, _: i64, _: &[u8]) -> Result<(), String> {
            Err("what is this".to_owned())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=1, 1);
    drop(storage);
    let Err(error) = open(&config(dir.path()), &mut Refuses) else {
        panic!("opened");
    };
    let text = error.to_string();
    assert!(text.contains("transaction 0x1: what is this"), "{text}");
}

/// A step of a store's life.
#[derive(Clone, Debug)]
enum Step {
    /// Commit a group that sets (or deletes) these nodes.
    Commit(Vec<(u8, Option<u8>)>),
    /// Hand what changed to the state.
    Checkpoint,
    /// Begin that, and do not come to its end.
    Unfinished,
    /// Crash and start again.
    Crash,
    /// Stop and start again.
    Stop,
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0..20u8, proptest::option::of(any::<u8>()));
    prop_oneof![
        6 => proptest::collection::vec(change, 1..20).prop_map(Step::Commit),
        3 => Just(Step::Checkpoint),
        1 => Just(Step::Unfinished),
        1 => Just(Step::Crash),
        1 => Just(Step::Stop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn checkpoint_and_replay_give_the_tree(steps in proptest::collection::vec(step(), 1..40)) {
        let mut dir = tempfile::tempdir().unwrap();
        let (mut storage, _) = open_at(dir.path()).unwrap();
        let mut twin = Twin::default();
        let mut dirty = std::collections::BTreeSet::new();
        for step in steps {
            match step {
                Step::Commit(changes) => {
                    let mut bytes = Vec::new();
                    for (name, value) in changes {
                        let value = value.map(|v| vec![v; v as usize]);
                        let txn = txn(twin.zxid + 1, &format!("/{name}"), value.as_deref());
                        group::push(&mut bytes, &txn);
                        dirty.insert(twin.apply(&txn));
                    }
                    storage.log.append(twin.zxid, &bytes).unwrap();
                }
                Step::Checkpoint => {
                    let mut batch = CheckpointBatch::new(twin.zxid);
                    for path in std::mem::take(&mut dirty) {
                        twin.put_into(&path, &mut batch);
                    }
                    storage.state.write(batch).unwrap();
                }
                Step::Unfinished => {
                    let mut batch = CheckpointBatch::new(twin.zxid);
                    for path in &dirty {
                        twin.put_into(path, &mut batch);
                    }
                    let mut checkpoint = storage.state.begin(twin.zxid, 0).unwrap();
                    checkpoint.put(&mut batch).unwrap();
                }
                Step::Crash | Step::Stop => {
                    if matches!(step, Step::Crash) {
                        let image = crash_image(dir.path());
                        drop(storage);
                        dir = image;
                    } else {
                        drop(storage);
                    }
                    let (opened, restored) = open_at(dir.path()).unwrap();
                    prop_assert_eq!(&restored.twin.nodes, &twin.nodes);
                    let marker = restored.marker.unwrap();
                    let expected: Vec<i64> = (marker + 1..=twin.zxid).collect();
                    prop_assert_eq!(restored.replayed, expected);
                    storage = opened;
                    // What was dirty is replayed, so it is dirty again.
                    dirty.extend((0..20).map(|name| format!("/{name}")));
                }
            }
        }
        drop(storage);
        let (_, restored) = open_at(dir.path()).unwrap();
        prop_assert_eq!(&restored.twin.nodes, &twin.nodes);
    }
}
