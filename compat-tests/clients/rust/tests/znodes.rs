//! Data, versions, kinds of znodes, ACLs, multi and multiRead.

use std::time::Duration;

use zookeeper_client::{
    Acl, Acls, AuthId, CreateMode, EnsembleUpdate, Error, EventType, MultiReadResult,
    MultiWriteError, MultiWriteResult, Permission,
};

use crate::harness::*;

#[tokio::test]
async fn data_and_versions() {
    let client = connect(shared()).await;
    let root = home(&client).await;
    let path = format!("{root}/a");
    let (created, _) = client.create(&path, b"one", &PERSISTENT).await.unwrap();
    let (data, stat) = client.get_data(&path).await.unwrap();
    assert_eq!(data, b"one");
    assert_eq!(stat, created);
    assert_eq!(
        (stat.version, stat.data_length, stat.ephemeral_owner),
        (0, 3, 0)
    );
    assert_eq!(stat.mzxid, stat.czxid);
    let after = client.set_data(&path, b"three", Some(0)).await.unwrap();
    assert_eq!((after.version, after.czxid), (1, stat.czxid));
    assert!(after.mzxid > stat.mzxid);
    assert_eq!(
        client.set_data(&path, b"lost", Some(0)).await,
        Err(Error::BadVersion)
    );
    client
        .create(&format!("{path}/child"), b"", &PERSISTENT)
        .await
        .unwrap();
    assert_eq!(client.delete(&path, Some(7)).await, Err(Error::BadVersion));
    assert_eq!(client.delete(&path, None).await, Err(Error::NotEmpty));
    client
        .delete(&format!("{path}/child"), Some(0))
        .await
        .unwrap();
    client.delete(&path, Some(1)).await.unwrap();
    assert_eq!(client.check_stat(&path).await, Ok(None));
    assert_eq!(client.get_data(&path).await, Err(Error::NoNode));
    assert_eq!(
        client.create(&root, b"", &PERSISTENT).await.err(),
        Some(Error::NodeExists)
    );
    assert_eq!(
        client
            .create(&format!("{root}/no/parent"), b"", &PERSISTENT)
            .await
            .err(),
        Some(Error::NoNode)
    );
}

#[tokio::test]
async fn children_descendants_and_ephemerals_of_a_session() {
    let client = connect(shared()).await;
    let root = home(&client).await;
    let mut wanted = Vec::new();
    for i in 0..50 {
        let name = format!("n{i:02}");
        client
            .create(&format!("{root}/{name}"), b"", &PERSISTENT)
            .await
            .unwrap();
        wanted.push(name);
    }
    client
        .create(&format!("{root}/n01/x"), b"", &EPHEMERAL)
        .await
        .unwrap();
    client.delete(&format!("{root}/n00"), None).await.unwrap();
    let (mut names, stat) = client.get_children(&root).await.unwrap();
    names.sort();
    assert_eq!(names, wanted[1..]);
    assert_eq!((stat.num_children, stat.cversion), (49, 51));
    assert_eq!(client.count_descendants_number(&root).await, Ok(50));
    assert_eq!(
        client.list_ephemerals(&root).await,
        Ok(vec![format!("{root}/n01/x")])
    );
}

#[tokio::test]
async fn sequences_and_ephemerals() {
    let client = connect(shared()).await;
    let other = connect(shared()).await;
    let root = home(&client).await;
    let (_, first) = client
        .create(&format!("{root}/n-"), b"", &SEQUENTIAL)
        .await
        .unwrap();
    assert_eq!(first.to_string(), "0000000000");
    let path = format!("{root}/e");
    let (stat, _) = other.create(&path, b"", &EPHEMERAL).await.unwrap();
    assert_eq!(stat.ephemeral_owner, other.session_id().0);
    let denied = other
        .create(&format!("{path}/child"), b"", &PERSISTENT)
        .await;
    assert_eq!(denied.err(), Some(Error::NoChildrenForEphemerals));
    let (_, gone) = client.check_and_watch_stat(&path).await.unwrap();
    drop(other); // the last handle closes the session
    event(gone.changed(), EventType::NodeDeleted, &path).await;
    let (_, next) = client
        .create(&format!("{root}/n-"), b"", &SEQUENTIAL)
        .await
        .unwrap();
    assert_eq!(next.to_string(), "0000000002");
}

#[tokio::test]
async fn containers_and_ttl() {
    let client = connect(shared()).await;
    let root = home(&client).await;
    let container = format!("{root}/box");
    let (stat, _) = client
        .create(&container, b"", &CreateMode::Container.with_acls(ALL))
        .await
        .unwrap();
    assert_eq!(stat.ephemeral_owner, 0);
    client
        .create(&format!("{container}/child"), b"", &PERSISTENT)
        .await
        .unwrap();
    let (_, gone) = client.check_and_watch_stat(&container).await.unwrap();
    client
        .delete(&format!("{container}/child"), None)
        .await
        .unwrap();
    event(gone.changed(), EventType::NodeDeleted, &container).await;

    let hour = PERSISTENT.with_ttl(Duration::from_secs(3600));
    let (stat, _) = client
        .create(&format!("{root}/young"), b"", &hour)
        .await
        .unwrap();
    assert_eq!(stat.ephemeral_owner, 0);
    let old = format!("{root}/old");
    client
        .create(&old, b"", &PERSISTENT.with_ttl(Duration::from_millis(100)))
        .await
        .unwrap();
    let (there, gone) = client.check_and_watch_stat(&old).await.unwrap();
    if there.is_some() {
        event(gone.changed(), EventType::NodeDeleted, &old).await;
    }
    assert!(
        client
            .check_stat(&format!("{root}/young"))
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn multi() {
    let client = connect(shared()).await;
    let root = home(&client).await;
    let (a, s) = (format!("{root}/a"), format!("{root}/a/s-"));
    let mut writer = client.new_multi_writer();
    writer.add_create(&a, b"1", &PERSISTENT).unwrap();
    writer.add_create(&s, b"", &SEQUENTIAL).unwrap();
    writer.add_set_data(&a, b"2", Some(0)).unwrap();
    writer.add_check_version(&a, 1).unwrap();
    writer.add_delete(&format!("{s}0000000000"), None).unwrap();
    let results = writer.commit().await.unwrap();
    assert_eq!(results.len(), 5);
    assert!(matches!(&results[0], MultiWriteResult::Create { path, .. } if *path == a));
    assert!(
        matches!(&results[1], MultiWriteResult::Create { path, .. } if *path == format!("{s}0000000000"))
    );
    assert!(matches!(&results[2], MultiWriteResult::SetData { stat } if stat.version == 1));
    assert_eq!(
        results[3..],
        [MultiWriteResult::Check, MultiWriteResult::Delete]
    );

    let mut writer = client.new_multi_writer();
    writer.add_set_data(&a, b"3", None).unwrap();
    writer
        .add_create(&format!("{a}/new"), b"", &PERSISTENT)
        .unwrap();
    writer.add_delete(&format!("{a}/missing"), None).unwrap();
    writer
        .add_create(&format!("{a}/never"), b"", &PERSISTENT)
        .unwrap();
    let failed = writer.commit().await;
    assert_eq!(
        failed,
        Err(MultiWriteError::OperationFailed {
            index: 2,
            source: Error::NoNode
        })
    );
    let (data, stat) = client.get_data(&a).await.unwrap();
    assert_eq!(
        (data.as_slice(), stat.version, stat.num_children),
        (b"2".as_slice(), 1, 0)
    );
}

#[tokio::test]
async fn multi_read() {
    let client = connect(shared()).await;
    let root = home(&client).await;
    client
        .create(&format!("{root}/a"), b"x", &PERSISTENT)
        .await
        .unwrap();
    let mut reader = client.new_multi_reader();
    reader.add_get_data(&format!("{root}/a")).unwrap();
    reader.add_get_data(&format!("{root}/missing")).unwrap();
    reader.add_get_children(&root).unwrap();
    let results = reader.commit().await.unwrap();
    assert!(
        matches!(&results[0], MultiReadResult::Data { data, stat } if data == b"x" && stat.version == 0)
    );
    assert!(matches!(
        &results[1],
        MultiReadResult::Error { err: Error::NoNode }
    ));
    assert!(matches!(&results[2], MultiReadResult::Children { children } if *children == ["a"]));
}

#[tokio::test]
async fn acls_and_identities() {
    let (owner, stranger) = (connect(shared()).await, connect(shared()).await);
    let root = home(&stranger).await;
    let mine = format!("{root}/mine");
    owner.auth("digest", b"user:pass").await.unwrap();
    let creator = CreateMode::Persistent.with_acls(Acls::creator_all());
    owner.create(&mine, b"x", &creator).await.unwrap();
    let (acls, _) = owner.get_acl(&mine).await.unwrap();
    let wanted = AuthId::new("digest", "user:smGaoVKd/cQkjm7b88GyorAUz20=");
    assert_eq!(acls, [Acl::new(Permission::ALL, wanted)]);
    assert_eq!(stranger.get_data(&mine).await, Err(Error::NoAuth));
    assert_eq!(
        stranger.set_data(&mine, b"", None).await,
        Err(Error::NoAuth)
    );
    assert_eq!(
        stranger
            .create(&format!("{mine}/c"), b"", &PERSISTENT)
            .await
            .err(),
        Some(Error::NoAuth)
    );
    assert_eq!(
        stranger
            .create(&format!("{root}/b"), b"", &creator)
            .await
            .err(),
        Some(Error::InvalidAcl)
    );
    let users = owner.list_auth_users().await.unwrap();
    assert!(
        users
            .iter()
            .any(|user| (user.scheme(), user.user()) == ("digest", "user")),
        "{users:?}"
    );
    assert!(
        users
            .iter()
            .any(|user| (user.scheme(), user.user()) == ("ip", "127.0.0.1")),
        "{users:?}"
    );
    let open = [Acl::new(Permission::READ, AuthId::new("ip", "127.0.0.0/8"))];
    assert_eq!(
        owner.set_acl(&mine, &open, Some(3)).await.err(),
        Some(Error::BadVersion)
    );
    assert_eq!(
        owner.set_acl(&mine, &open, Some(0)).await.unwrap().aversion,
        1
    );
    assert_eq!(stranger.get_data(&mine).await.unwrap().0, b"x");
    assert_eq!(owner.set_data(&mine, b"", None).await, Err(Error::NoAuth));
}

#[tokio::test]
async fn failed_authentication_ends_the_session() {
    let client = connect(shared()).await;
    assert_eq!(client.auth("nosuch", b"x").await, Err(Error::AuthFailed));
    assert_eq!(client.check_stat("/").await, Err(Error::AuthFailed));
}

#[tokio::test]
async fn many_requests_in_flight_are_answered_in_order() {
    let client = connect(shared()).await;
    let root = home(&client).await;
    // Requests are sent when the future is made, in that order.
    let replies: Vec<_> = (0..2000)
        .map(|i| client.set_data(&root, i.to_string().as_bytes(), Some(i)))
        .collect();
    let last = client.get_data(&root);
    for (i, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.await.unwrap().version, i as i32 + 1);
    }
    assert_eq!(last.await.unwrap().0, b"1999");
}

#[tokio::test]
async fn big_data() {
    let client = connect(shared()).await;
    let root = home(&client).await;
    let big: Vec<u8> = (0..1_040_000u32).map(|i| (i * 7 + i / 251) as u8).collect();
    client
        .create(&format!("{root}/big"), &big, &PERSISTENT)
        .await
        .unwrap();
    assert!(client.get_data(&format!("{root}/big")).await.unwrap().0 == big);
}

#[tokio::test]
async fn configuration_of_a_standalone_server() {
    let client = connect(shared()).await;
    let (data, stat) = client.get_config().await.unwrap();
    assert_eq!((data.as_slice(), stat.version), (b"".as_slice(), 0));
    let change = client
        .update_ensemble(
            EnsembleUpdate::New {
                ensemble: ["server.9=127.0.0.1:1:2;3"].into_iter(),
            },
            None,
        )
        .await;
    assert!(
        matches!(change, Err(Error::Unimplemented | Error::ReconfigDisabled)),
        "{change:?}"
    );
}
