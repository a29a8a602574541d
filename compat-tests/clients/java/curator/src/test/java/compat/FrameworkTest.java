package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.CuratorEvent;
import org.apache.curator.framework.api.CuratorEventType;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.api.transaction.OperationType;
import org.apache.curator.framework.schema.Schema;
import org.apache.curator.framework.schema.SchemaSet;
import org.apache.curator.framework.schema.SchemaViolation;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;

/** Curator's builders: each leans on one exact answer of the server. */
class FrameworkTest extends CuratorTest {
    private static final byte[] DATA = "data".getBytes();

    @Test
    void theEverydayCalls() throws Exception {
        assertEquals("/a", client.create().forPath("/a", DATA));
        Stat stat = new Stat();
        assertArrayEquals(DATA, other.getData().storingStatIn(stat).forPath("/a"));
        assertEquals(1, client.setData().withVersion(0).forPath("/a", new byte[0]).getVersion());
        assertThrows(KeeperException.BadVersionException.class,
                () -> client.setData().withVersion(0).forPath("/a", DATA));
        assertEquals(Ids.OPEN_ACL_UNSAFE, client.getACL().forPath("/a"));
        client.setACL().withACL(Ids.READ_ACL_UNSAFE).forPath("/a");
        assertThrows(KeeperException.NoAuthException.class, () -> client.setData().forPath("/a", DATA));
        assertEquals(List.of("a"), client.getChildren().forPath("/"));
        client.sync().forPath("/a");
        client.delete().forPath("/a");
        assertNull(client.checkExists().forPath("/a"));
        client.delete().quietly().forPath("/a");
    }

    @Test
    void parentsAreCreatedOnTheWay() throws Exception {
        client.create().creatingParentsIfNeeded().forPath("/p/q/r", DATA);
        client.create().creatingParentContainersIfNeeded().forPath("/c/d/e", DATA);
        client.createContainers("/x/y/z");
        client.checkExists().creatingParentsIfNeeded().forPath("/m/n/o");
        assertTrue(exists(client, "/x/y/z"));
        assertTrue(exists(client, "/m/n"));
        assertFalse(exists(client, "/m/n/o"));
        // Containers go when they have become empty, ordinary parents stay.
        client.delete().forPath("/c/d/e");
        client.delete().forPath("/p/q/r");
        Await.until("the empty containers go", () -> !exists(client, "/c"));
        assertTrue(exists(client, "/p/q"));
        client.delete().deletingChildrenIfNeeded().forPath("/p");
        assertFalse(exists(client, "/p"));
    }

    @Test
    void createSetAndDeleteThatMayHaveHappenedBefore() throws Exception {
        client.create().orSetData().forPath("/a", DATA);
        client.create().orSetData().forPath("/a", "b".getBytes());
        assertArrayEquals("b".getBytes(), client.getData().forPath("/a"));
        client.create().idempotent().forPath("/i", DATA);
        client.create().idempotent().forPath("/i", DATA);
        assertThrows(KeeperException.NodeExistsException.class,
                () -> client.create().idempotent().forPath("/i", "else".getBytes()));
        client.setData().idempotent().withVersion(0).forPath("/i", "new".getBytes());
        client.setData().idempotent().withVersion(0).forPath("/i", "new".getBytes());
        assertEquals(1, client.checkExists().forPath("/i").getVersion());
        client.delete().idempotent().withVersion(1).forPath("/i");
        client.delete().idempotent().withVersion(1).forPath("/i");
        client.delete().guaranteed().forPath("/a");
        assertEquals(List.of(), client.getChildren().forPath("/"));
    }

    @Test
    void protectedNodesCarryTheirMark() throws Exception {
        String path = client.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/n-");
        assertTrue(path.matches("/_c_[0-9a-f-]{36}-n-0000000000"), path);
        assertEquals(client.getZookeeperClient().getZooKeeper().getSessionId(),
                client.checkExists().forPath(path).getEphemeralOwner());
    }

    @Test
    void aProtectedCreateSurvivesALostReply() throws Exception {
        Proxy proxy = closing(new Proxy(server()));
        CuratorFramework shaky = connect(proxy.address(), Session.LONG_MS);
        BlockingQueue<CuratorEvent> created = new LinkedBlockingQueue<>();
        int many = 200;
        for (int i = 0; i < many; i++) {
            shaky.create().withProtection().withMode(CreateMode.PERSISTENT_SEQUENTIAL)
                    .inBackground((c, event) -> created.add(event)).forPath("/n-");
            if (i % 50 == 25) {
                proxy.interrupt();
            }
        }
        Set<String> names = new HashSet<>();
        for (int i = 0; i < many; i++) {
            CuratorEvent event = take(created);
            assertEquals(0, event.getResultCode());
            names.add(event.getName());
        }
        // Each was created once, although some were asked for twice.
        assertEquals(many, names.size());
        assertEquals(many, client.getChildren().forPath("/").size());
    }

    @Test
    void backgroundCallsReport() throws Exception {
        BlockingQueue<CuratorEvent> events = new LinkedBlockingQueue<>();
        client.create().inBackground((c, event) -> events.add(event), "context").forPath("/a", DATA);
        CuratorEvent created = take(events);
        assertEquals(CuratorEventType.CREATE, created.getType());
        assertEquals(0, created.getResultCode());
        assertEquals("context", created.getContext());
        assertNotNull(created.getStat());
        client.getChildren().inBackground((c, event) -> events.add(event)).forPath("/none");
        assertEquals(Code.NONODE.intValue(), take(events).getResultCode());
        client.getData().inBackground((c, event) -> events.add(event)).forPath("/a");
        assertArrayEquals(DATA, take(events).getData());
        client.sync().inBackground((c, event) -> events.add(event)).forPath("/a");
        assertEquals(CuratorEventType.SYNC, take(events).getType());
    }

    @Test
    void timeToLiveAndCompression() throws Exception {
        client.create().withTtl(300).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/t", DATA);
        Await.until("the node goes", () -> !exists(client, "/t"));
        byte[] zeros = new byte[100_000];
        client.create().compressed().forPath("/z", zeros);
        assertTrue(client.checkExists().forPath("/z").getDataLength() < 1000);
        assertArrayEquals(zeros, client.getData().decompressed().forPath("/z"));
    }

    @Test
    void watchers() throws Exception {
        Events events = new Events();
        client.create().forPath("/a");
        client.getData().usingWatcher(events).forPath("/a");
        other.setData().forPath("/a", DATA);
        events.expect(EventType.NodeDataChanged, "/a");
        client.watchers().add().withMode(AddWatchMode.PERSISTENT_RECURSIVE).usingWatcher(events).forPath("/a");
        other.create().forPath("/a/b");
        other.delete().forPath("/a/b");
        events.expect(EventType.NodeCreated, "/a/b");
        events.expect(EventType.NodeDeleted, "/a/b");
        client.watchers().removeAll().forPath("/a");
        other.setData().forPath("/a", DATA);
        client.checkExists().usingWatcher(events).forPath("/end");
        other.create().forPath("/end");
        // Word of the removal, but nothing of the change behind it.
        events.expectAfter(EventType.PersistentWatchRemoved, EventType.NodeCreated, "/end");
    }

    @Test
    void transactions() throws Exception {
        client.create().forPath("/old");
        List<CuratorTransactionResult> results = client.transaction().forOperations(
                client.transactionOp().create().forPath("/a", DATA),
                client.transactionOp().create().withMode(CreateMode.CONTAINER).forPath("/c", DATA),
                client.transactionOp().create().withTtl(60_000).withMode(CreateMode.PERSISTENT_WITH_TTL)
                        .forPath("/t", DATA),
                client.transactionOp().create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/s-"),
                client.transactionOp().setData().withVersion(0).forPath("/a", new byte[0]),
                client.transactionOp().check().withVersion(1).forPath("/a"),
                client.transactionOp().delete().forPath("/old"));
        assertEquals(7, results.size());
        assertEquals("/a", results.get(0).getResultPath());
        assertEquals(0, results.get(1).getError());
        assertEquals(0, results.get(2).getError());
        assertEquals("/s-0000000004", results.get(3).getResultPath());
        assertEquals(OperationType.SET_DATA, results.get(4).getType());
        assertEquals(1, results.get(4).getResultStat().getVersion());
        KeeperException e = assertThrows(KeeperException.NodeExistsException.class,
                () -> client.transaction().forOperations(
                        client.transactionOp().delete().forPath("/c"),
                        client.transactionOp().create().forPath("/a")));
        assertEquals(2, e.getResults().size());
        assertTrue(exists(client, "/c") && exists(client, "/t"));

        BlockingQueue<CuratorEvent> events = new LinkedBlockingQueue<>();
        client.transaction().inBackground((c, event) -> events.add(event)).forOperations(
                client.transactionOp().check().withVersion(9).forPath("/a"));
        assertEquals(Code.BADVERSION.intValue(), take(events).getOpResults().get(0).getError());
    }

    @Test
    void aSchemaSetGuardsThePaths() throws Exception {
        Schema schema = Schema.builder("/guarded").name("guarded").documentation("only short data")
                .dataValidator((guard, path, data, acl) -> data.length < 10)
                .ephemeral(Schema.Allowance.CANNOT).canBeDeleted(false).build();
        CuratorFramework guarded = closing(CuratorFrameworkFactory.builder().connectString(server().address())
                .namespace(namespace).retryPolicy(RETRY).schemaSet(new SchemaSet(List.of(schema), true)).build());
        guarded.start();
        assertThrows(SchemaViolation.class, () -> guarded.create().forPath("/guarded", new byte[10]));
        assertThrows(SchemaViolation.class,
                () -> guarded.create().withMode(CreateMode.EPHEMERAL).forPath("/guarded", new byte[1]));
        guarded.create().forPath("/guarded", new byte[9]);
        assertThrows(SchemaViolation.class, () -> guarded.setData().forPath("/guarded", new byte[11]));
        assertThrows(SchemaViolation.class, () -> guarded.delete().forPath("/guarded"));
        guarded.create().forPath("/free", new byte[100]);
        guarded.delete().forPath("/free");
    }

    @Test
    void theEnsembleOfAStandaloneServerIsEmpty() throws Exception {
        assertArrayEquals(new byte[0], client.getConfig().forEnsemble());
        assertNotNull(client.getCurrentConfig());
        assertEquals(0, client.getCurrentConfig().getAllMembers().size());
        assertEquals(server().address(), client.getZookeeperClient().getCurrentConnectionString());
    }

    @Test
    void authoritiesOfTheBuilder() throws Exception {
        CuratorFramework ann = closing(CuratorFrameworkFactory.builder().connectString(server().address())
                .namespace(namespace).retryPolicy(RETRY).authorization("digest", "ann:secret".getBytes()).build());
        ann.start();
        ann.create().withACL(Ids.CREATOR_ALL_ACL).forPath("/secret", DATA);
        assertThrows(KeeperException.NoAuthException.class, () -> client.getData().forPath("/secret"));
        assertArrayEquals(DATA, ann.getData().forPath("/secret"));
    }

    @Test
    void connectionStatesFollowTheSession() throws Exception {
        Proxy proxy = closing(new Proxy(server()));
        CuratorFramework shaky = connect(proxy.address(), Session.SHORT_MS);
        BlockingQueue<ConnectionState> states = statesOf(shaky);
        long id = shaky.getZookeeperClient().getZooKeeper().getSessionId();
        // The namespace is a container: with nothing left in it the server would remove it.
        client.create().forPath("/stays");
        shaky.create().withMode(CreateMode.EPHEMERAL).forPath("/e");
        proxy.cut();
        assertEquals(ConnectionState.SUSPENDED, take(states));
        assertEquals(ConnectionState.LOST, take(states));
        Await.until("the session ends on the server", () -> !exists(client, "/e"));
        proxy.restore();
        assertEquals(ConnectionState.RECONNECTED, take(states));
        assertNotEquals(id, shaky.getZookeeperClient().getZooKeeper().getSessionId());
        shaky.create().withMode(CreateMode.EPHEMERAL).forPath("/e");
    }
}
