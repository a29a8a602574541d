//! Watches, locks, broken connections, expiry, and servers that are stopped and killed.

use std::time::Duration;

use zookeeper_client::{
    Acls, AddWatchMode, Client, CreateMode, Error, EventType, LockPrefix, SessionState,
};

use crate::harness::*;

#[tokio::test]
async fn one_shot_watches() {
    let (client, other) = (connect(shared()).await, connect(shared()).await);
    let root = home(&client).await;
    let path = format!("{root}/a");
    let (_, created) = client.check_and_watch_stat(&path).await.unwrap();
    let (_, children) = client.list_and_watch_children(&root).await.unwrap();
    let (stat, _) = other.create(&path, b"1", &PERSISTENT).await.unwrap();
    assert_eq!(
        event(created.changed(), EventType::NodeCreated, &path).await,
        stat.czxid
    );
    assert_eq!(
        event(children.changed(), EventType::NodeChildrenChanged, &root).await,
        stat.czxid
    );

    let (_, _, changed) = client.get_and_watch_data(&path).await.unwrap();
    let first = other.set_data(&path, b"2", None).await.unwrap();
    other.set_data(&path, b"3", None).await.unwrap();
    assert_eq!(
        event(changed.changed(), EventType::NodeDataChanged, &path).await,
        first.mzxid
    );

    let (data, _, deleted) = client.get_and_watch_data(&path).await.unwrap();
    assert_eq!(data, b"3");
    let (_, _, inside) = client.get_and_watch_children(&path).await.unwrap();
    other.delete(&path, None).await.unwrap();
    event(deleted.changed(), EventType::NodeDeleted, &path).await;
    event(inside.changed(), EventType::NodeDeleted, &path).await;
}

#[tokio::test]
async fn persistent_watches() {
    let (client, other) = (connect(shared()).await, connect(shared()).await);
    let root = home(&client).await;
    let (a, b) = (format!("{root}/a"), format!("{root}/a/b"));
    let mut plain = client.watch(&root, AddWatchMode::Persistent).await.unwrap();
    let mut recursive = client
        .watch(&root, AddWatchMode::PersistentRecursive)
        .await
        .unwrap();
    other.create(&a, b"", &PERSISTENT).await.unwrap();
    other.create(&b, b"", &PERSISTENT).await.unwrap();
    other.set_data(&b, b"x", None).await.unwrap();
    other.set_data(&root, b"x", None).await.unwrap();
    other.delete(&b, None).await.unwrap();
    other.delete(&a, None).await.unwrap();
    for (kind, path) in [
        (EventType::NodeCreated, &a),
        (EventType::NodeCreated, &b),
        (EventType::NodeDataChanged, &b),
        (EventType::NodeDataChanged, &root),
        (EventType::NodeDeleted, &b),
        (EventType::NodeDeleted, &a),
    ] {
        event(recursive.changed(), kind, path).await;
    }
    event(plain.changed(), EventType::NodeChildrenChanged, &root).await;
    event(plain.changed(), EventType::NodeDataChanged, &root).await;
    event(plain.changed(), EventType::NodeChildrenChanged, &root).await;
    drop(plain);
    drop(recursive); // both are taken off the server by removeWatches
    other.set_data(&root, b"y", None).await.unwrap();
    client.sync(&root).await.unwrap();
    let mut next = client.watch(&root, AddWatchMode::Persistent).await.unwrap();
    let stat = other.set_data(&root, b"z", None).await.unwrap();
    assert_eq!(
        event(next.changed(), EventType::NodeDataChanged, &root).await,
        stat.mzxid
    );
}

async fn lock<'a>(client: &'a Client, directory: &str) -> zookeeper_client::LockClient<'a> {
    client
        .lock(
            LockPrefix::new_curator(directory, "lock-").unwrap(),
            b"",
            Acls::anyone_all(),
        )
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_exclude_each_other() {
    const ROUNDS: usize = 20;
    const CONTENDERS: usize = 8;
    let client = connect(shared()).await;
    let root = home(&client).await;
    let directory = format!("{root}/lock");
    client.create(&directory, b"", &PERSISTENT).await.unwrap();
    client.set_data(&root, b"0", None).await.unwrap();
    let contenders: Vec<_> = (0..CONTENDERS)
        .map(|_| {
            let (root, directory) = (root.clone(), directory.clone());
            tokio::spawn(async move {
                let client = connect(shared()).await;
                for _ in 0..ROUNDS {
                    let held = lock(&client, &directory).await;
                    let (data, _) = client.get_data(&root).await.unwrap();
                    let count: usize = String::from_utf8(data).unwrap().parse().unwrap();
                    // Through the lock: fails unless the lock's znode is there.
                    held.set_data(&root, (count + 1).to_string().as_bytes(), None)
                        .await
                        .unwrap();
                    client.delete(held.lock_path(), None).await.unwrap();
                }
            })
        })
        .collect();
    for contender in contenders {
        contender.await.unwrap();
    }
    assert_eq!(
        client.get_data(&root).await.unwrap().0,
        (ROUNDS * CONTENDERS).to_string().as_bytes()
    );
}

#[tokio::test]
async fn lock_passes_on_when_its_holder_expires() {
    let relay = Relay::to(shared()).await;
    let holder = connect_for(relay.port, Duration::from_secs(2)).await;
    let waiter = connect(shared()).await;
    let root = home(&waiter).await;
    let mut states = holder.state_watcher();
    let held = lock(&holder, &root).await;
    relay.cut();
    soon("the lock", lock(&waiter, &root)).await;
    relay.join();
    state(&mut states, SessionState::Expired).await;
    assert_eq!(
        held.set_data(&root, b"", None).await,
        Err(Error::SessionExpired)
    );
}

/// Same session, watches of all kinds included, and what was missed is told.
#[tokio::test]
async fn reconnect_tells_what_was_missed() {
    let relay = Relay::to(shared()).await;
    let (client, other) = (connect(relay.port).await, connect(shared()).await);
    let root = home(&other).await;
    let path = |name: &str| format!("{root}/{name}");
    let mut states = client.state_watcher();
    let id = client.session_id();
    client.create(&path("e"), b"", &EPHEMERAL).await.unwrap();
    for name in ["changed", "deleted", "same"] {
        other.create(&path(name), b"", &PERSISTENT).await.unwrap();
    }
    let (_, _, changed) = client.get_and_watch_data(&path("changed")).await.unwrap();
    let (_, _, deleted) = client.get_and_watch_data(&path("deleted")).await.unwrap();
    let (_, _, same) = client.get_and_watch_data(&path("same")).await.unwrap();
    let (_, created) = client.check_and_watch_stat(&path("created")).await.unwrap();
    let (_, children) = client.list_and_watch_children(&root).await.unwrap();
    let mut recursive = client
        .watch(&path("same"), AddWatchMode::PersistentRecursive)
        .await
        .unwrap();
    states.state();
    relay.cut();
    state(&mut states, SessionState::Disconnected).await;
    other.set_data(&path("changed"), b"2", None).await.unwrap();
    other.delete(&path("deleted"), None).await.unwrap();
    other
        .create(&path("created"), b"", &PERSISTENT)
        .await
        .unwrap();
    relay.join();
    state(&mut states, SessionState::SyncConnected).await;
    event(
        changed.changed(),
        EventType::NodeDataChanged,
        &path("changed"),
    )
    .await;
    event(deleted.changed(), EventType::NodeDeleted, &path("deleted")).await;
    event(created.changed(), EventType::NodeCreated, &path("created")).await;
    event(children.changed(), EventType::NodeChildrenChanged, &root).await;
    // Had "same" fired at the reconnect, its event would carry no zxid.
    let stat = other.set_data(&path("same"), b"2", None).await.unwrap();
    assert_eq!(
        event(same.changed(), EventType::NodeDataChanged, &path("same")).await,
        stat.mzxid
    );
    loop {
        // A persistent watch tells of the session's states in between.
        let seen = soon("the recursive watch", recursive.changed()).await;
        if seen.event_type != EventType::Session {
            assert_eq!(
                (seen.event_type, seen.path, seen.zxid),
                (EventType::NodeDataChanged, path("same"), stat.mzxid)
            );
            break;
        }
    }
    assert_eq!(client.session_id(), id);
    let owner = other
        .check_stat(&path("e"))
        .await
        .unwrap()
        .unwrap()
        .ephemeral_owner;
    assert_eq!(owner, id.0);
}

#[tokio::test]
async fn session_moves_to_another_client() {
    let first = Client::connector()
        .with_session_timeout(Duration::from_secs(20))
        .with_detached()
        .connect(&format!("127.0.0.1:{}", shared()))
        .await
        .unwrap();
    let root = home(&first).await;
    let path = format!("{root}/e");
    first.create(&path, b"", &EPHEMERAL).await.unwrap();
    let session = first.into_session();
    let id = session.id();
    let heir = Client::connector()
        .with_session(session)
        .connect(&format!("127.0.0.1:{}", shared()))
        .await
        .unwrap();
    assert_eq!(heir.session_id(), id);
    assert_eq!(
        heir.check_stat(&path)
            .await
            .unwrap()
            .unwrap()
            .ephemeral_owner,
        id.0
    );
    let other = connect(shared()).await;
    let (_, gone) = other.check_and_watch_stat(&path).await.unwrap();
    drop(heir);
    event(gone.changed(), EventType::NodeDeleted, &path).await;
}

async fn survives(signal: &str) {
    let mut server = Server::start(&format!("restart-{signal}"));
    let client = Client::connector()
        .with_session_timeout(Duration::from_secs(30))
        .with_auth("digest", b"user:pass")
        .connect(&format!("127.0.0.1:{}", server.port))
        .await
        .unwrap();
    let other = connect_for(server.port, Duration::from_secs(30)).await;
    let root = home(&client).await;
    let id = client.session_id();
    let (private, directory) = (format!("{root}/private"), format!("{root}/lock"));
    client
        .create(
            &private,
            b"mine",
            &CreateMode::Persistent.with_acls(Acls::creator_all()),
        )
        .await
        .unwrap();
    client.create(&directory, b"", &PERSISTENT).await.unwrap();
    let held = lock(&client, &directory).await;
    let before = client.set_data(&root, b"before", Some(0)).await.unwrap();
    let (_, _, changed) = client.get_and_watch_data(&root).await.unwrap();
    let (mut states, mut other_states) = (client.state_watcher(), other.state_watcher());
    for _ in 0..3 {
        states.state();
        other_states.state();
        server.end(signal);
        state(&mut states, SessionState::Disconnected).await;
        state(&mut other_states, SessionState::Disconnected).await;
        server.restart();
        state(&mut states, SessionState::SyncConnected).await;
        state(&mut other_states, SessionState::SyncConnected).await;
        assert_eq!(client.session_id(), id);
        // A connection that breaks while it takes the session up again can leave this client waiting without end.
        client.check_stat("/").await.unwrap();
        other.check_stat("/").await.unwrap();
    }
    assert_eq!(
        client.get_data(&root).await,
        Ok((b"before".to_vec(), before))
    );
    let owner = other
        .check_stat(held.lock_path())
        .await
        .unwrap()
        .unwrap()
        .ephemeral_owner;
    assert_eq!(owner, id.0);
    assert_eq!(client.get_data(&private).await.unwrap().0, b"mine"); // the identity was sent again
    assert_eq!(other.get_data(&private).await, Err(Error::NoAuth));
    let stat = other.set_data(&root, b"after", Some(1)).await.unwrap();
    assert_eq!(
        event(changed.changed(), EventType::NodeDataChanged, &root).await,
        stat.mzxid
    );
    held.set_data(&root, b"held", Some(2)).await.unwrap();
    client.delete(held.lock_path(), None).await.unwrap();
    soon("the lock", lock(&other, &directory)).await;
}

#[tokio::test]
async fn session_survives_clean_restart() {
    survives("TERM").await;
}

#[tokio::test]
async fn session_survives_sigkill() {
    survives("KILL").await;
}
