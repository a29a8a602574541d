package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a program with an old client does all day; only calls that the 3.4 client has. */
class SmokeTest {
    private Session session;
    private ZooKeeper zk;
    private String root;

    @BeforeEach
    void open() throws Exception {
        session = Session.open(Server.shared().address());
        zk = session.zk;
        root = Session.freshPath(zk);
    }

    @AfterEach
    void close() throws Exception {
        session.close();
    }

    private String create(String name, String data, CreateMode mode) throws Exception {
        return zk.create(root + name, data.getBytes(), Ids.OPEN_ACL_UNSAFE, mode);
    }

    @Test
    void connectionHasSessionAndNegotiatedTimeout() throws Exception {
        assertTrue(zk.getSessionId() != 0);
        assertEquals(16, zk.getSessionPasswd().length);
        assertEquals(Session.LONG_MS, zk.getSessionTimeout());
        try (Session low = Session.open(Server.shared().address(), 200)) {
            assertEquals(400, low.zk.getSessionTimeout());
        }
    }

    @Test
    void createReadUpdateDelete() throws Exception {
        assertEquals(root + "/a", create("/a", "one", CreateMode.PERSISTENT));
        Stat stat = new Stat();
        assertArrayEquals("one".getBytes(), zk.getData(root + "/a", false, stat));
        assertEquals(0, stat.getVersion());
        assertEquals(3, stat.getDataLength());
        assertEquals(0, stat.getEphemeralOwner());
        assertEquals(stat.getCzxid(), stat.getMzxid());

        Stat changed = zk.setData(root + "/a", "two!".getBytes(), 0);
        assertEquals(1, changed.getVersion());
        assertTrue(changed.getMzxid() > stat.getMzxid());
        assertThrows(KeeperException.BadVersionException.class, () -> zk.setData(root + "/a", new byte[0], 0));
        assertArrayEquals("two!".getBytes(), zk.getData(root + "/a", false, null));

        create("/a/b", "", CreateMode.PERSISTENT);
        create("/a/c", "", CreateMode.PERSISTENT);
        List<String> children = zk.getChildren(root + "/a", false);
        Collections.sort(children);
        assertEquals(List.of("b", "c"), children);
        Stat parent = new Stat();
        assertEquals(2, zk.getChildren(root + "/a", false, parent).size());
        assertEquals(2, parent.getNumChildren());
        assertEquals(2, parent.getCversion());

        assertThrows(KeeperException.NotEmptyException.class, () -> zk.delete(root + "/a", -1));
        zk.delete(root + "/a/b", -1);
        zk.delete(root + "/a/c", 0);
        assertThrows(KeeperException.BadVersionException.class, () -> zk.delete(root + "/a", 7));
        zk.delete(root + "/a", 1);
        assertNull(zk.exists(root + "/a", false));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.getData(root + "/a", false, null));
        assertThrows(KeeperException.NoNodeException.class, () -> create("/a/b", "", CreateMode.PERSISTENT));
    }

    @Test
    void duplicateAndEphemeralParentAreRefused() throws Exception {
        create("/e", "", CreateMode.EPHEMERAL);
        assertThrows(KeeperException.NodeExistsException.class, () -> create("/e", "", CreateMode.PERSISTENT));
        assertThrows(KeeperException.NoChildrenForEphemeralsException.class,
                () -> create("/e/x", "", CreateMode.PERSISTENT));
    }

    @Test
    void sequentialNamesCountUp() throws Exception {
        assertEquals(root + "/s-0000000000", create("/s-", "", CreateMode.PERSISTENT_SEQUENTIAL));
        assertEquals(root + "/q-0000000001", create("/q-", "", CreateMode.EPHEMERAL_SEQUENTIAL));
        zk.delete(root + "/q-0000000001", -1);
        assertEquals(root + "/s-0000000002", create("/s-", "", CreateMode.EPHEMERAL_SEQUENTIAL));
    }

    @Test
    void ephemeralsGoWithTheirSession() throws Exception {
        Session other = Session.open(Server.shared().address());
        other.zk.create(root + "/e", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        Events events = new Events();
        Stat stat = zk.exists(root + "/e", events);
        assertEquals(other.zk.getSessionId(), stat.getEphemeralOwner());
        other.close();
        events.expect(EventType.NodeDeleted, root + "/e");
        assertNull(zk.exists(root + "/e", false));
    }

    @Test
    void watchesFireOnce() throws Exception {
        Events created = new Events();
        Events children = new Events();
        assertNull(zk.exists(root + "/w", created));
        zk.getChildren(root, children);
        create("/w", "", CreateMode.PERSISTENT);
        created.expect(EventType.NodeCreated, root + "/w");
        children.expect(EventType.NodeChildrenChanged, root);

        Events data = new Events();
        zk.getData(root + "/w", data, null);
        zk.setData(root + "/w", "x".getBytes(), -1);
        data.expect(EventType.NodeDataChanged, root + "/w");
        zk.setData(root + "/w", "y".getBytes(), -1);
        zk.exists(root + "/w", data);
        zk.delete(root + "/w", -1);
        data.expect(EventType.NodeDeleted, root + "/w");
        data.expectNothing(zk);
        created.expectNothing(zk);
        children.expectNothing(zk);
    }

    @Test
    void watchesAreSharedBetweenSessions() throws Exception {
        try (Session other = Session.open(Server.shared().address())) {
            Events events = new Events();
            other.zk.getChildren(root, events);
            create("/x", "", CreateMode.PERSISTENT);
            events.expect(EventType.NodeChildrenChanged, root);
            assertEquals(List.of("x"), other.zk.getChildren(root, false));
        }
    }

    @Test
    void multiAppliesAllOrNothing() throws Exception {
        List<OpResult> results = zk.multi(List.of(
                Op.create(root + "/m", "1".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.create(root + "/m/s-", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
                Op.setData(root + "/m", "2".getBytes(), 0),
                Op.check(root + "/m", 1)));
        assertEquals(root + "/m", ((OpResult.CreateResult) results.get(0)).getPath());
        assertEquals(root + "/m/s-0000000000", ((OpResult.CreateResult) results.get(1)).getPath());
        assertEquals(1, ((OpResult.SetDataResult) results.get(2)).getStat().getVersion());
        assertTrue(results.get(3) instanceof OpResult.CheckResult);

        List<Op> failing = List.of(
                Op.setData(root + "/m", "3".getBytes(), -1),
                Op.check(root + "/m", 77),
                Op.delete(root + "/m/s-0000000000", -1));
        KeeperException e = assertThrows(KeeperException.BadVersionException.class, () -> zk.multi(failing));
        List<Integer> codes = new ArrayList<>();
        for (OpResult result : e.getResults()) {
            codes.add(((OpResult.ErrorResult) result).getErr());
        }
        assertEquals(List.of(0, Code.BADVERSION.intValue(), Code.RUNTIMEINCONSISTENCY.intValue()), codes);
        assertArrayEquals("2".getBytes(), zk.getData(root + "/m", false, null));

        zk.transaction().delete(root + "/m/s-0000000000", -1).delete(root + "/m", 1).commit();
        assertNull(zk.exists(root + "/m", false));
    }

    @Test
    void asynchronousCallsAnswerInOrder() throws Exception {
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<List<String>> done = new CompletableFuture<>();
        for (int i = 0; i < 20; i++) {
            zk.create(root + "/n" + i, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
                    (AsyncCallback.StringCallback) (code, path, context, name) -> order.add(code + name), null);
        }
        zk.exists(root + "/nothing", false, (AsyncCallback.StatCallback) (code, path, context, stat) ->
                order.add(Code.get(code).name()), null);
        zk.getChildren(root, false, (AsyncCallback.ChildrenCallback) (code, path, context, names) ->
                done.complete(names), null);
        assertEquals(20, done.get(Await.SECONDS_MAX, TimeUnit.SECONDS).size());
        List<String> expected = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            expected.add("0" + root + "/n" + i);
        }
        expected.add("NONODE");
        assertEquals(expected, order);
    }

    @Test
    void digestAuthorityDecides() throws Exception {
        zk.addAuthInfo("digest", "ann:secret".getBytes());
        zk.create(root + "/mine", "x".getBytes(), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        List<ACL> acl = zk.getACL(root + "/mine", new Stat());
        assertEquals("digest", acl.get(0).getId().getScheme());
        assertTrue(acl.get(0).getId().getId().startsWith("ann:"));
        try (Session other = Session.open(Server.shared().address())) {
            assertThrows(KeeperException.NoAuthException.class,
                    () -> other.zk.getData(root + "/mine", false, null));
            other.zk.addAuthInfo("digest", "ann:secret".getBytes());
            assertArrayEquals("x".getBytes(), other.zk.getData(root + "/mine", false, null));
        }
        zk.setACL(root + "/mine", Collections.singletonList(new ACL(Perms.READ, new Id("ip", "127.0.0.1"))), 0);
        assertThrows(KeeperException.NoAuthException.class, () -> zk.setData(root + "/mine", new byte[0], -1));
        assertArrayEquals("x".getBytes(), zk.getData(root + "/mine", false, null));
    }

    @Test
    void unknownAuthSchemeFails() throws Exception {
        try (Session other = Session.open(Server.shared().address())) {
            other.zk.addAuthInfo("nonsense", new byte[] {1});
            other.events.awaitState(KeeperState.AuthFailed);
        }
    }

    @Test
    void aSessionIsTakenOverByIdAndPassword() throws Exception {
        try (Proxy proxy = new Proxy(Server.shared())) {
            Session first = Session.open(proxy.address());
            first.zk.create(root + "/e", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            proxy.cut();
            try (Session second = Session.resume(Server.shared().address(), Session.LONG_MS,
                    first.zk.getSessionId(), first.zk.getSessionPasswd(), KeeperState.SyncConnected)) {
                assertEquals(first.zk.getSessionId(), second.zk.getSessionId());
                assertNotNull(second.zk.exists(root + "/e", false));
            }
            assertNull(zk.exists(root + "/e", false));
            first.close();
        }
    }

    @Test
    void aWrongPasswordIsAnExpiredSession() throws Exception {
        try (Session victim = Session.open(Server.shared().address())) {
            byte[] password = victim.zk.getSessionPasswd().clone();
            password[3] ^= 1;
            Session.resume(Server.shared().address(), Session.LONG_MS, victim.zk.getSessionId(), password,
                    KeeperState.Expired).close();
        }
    }

    @Test
    void aSilentSessionExpires() throws Exception {
        try (Proxy proxy = new Proxy(Server.shared())) {
            Session silent = Session.open(proxy.address(), Session.SHORT_MS);
            silent.zk.create(root + "/e", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            Events events = new Events();
            assertNotNull(zk.exists(root + "/e", events));
            proxy.cut();
            events.expect(EventType.NodeDeleted, root + "/e");
            proxy.restore();
            silent.events.awaitState(KeeperState.Expired);
            silent.close();
        }
    }

    @Test
    void aChrootHidesTheRest() throws Exception {
        try (Session inner = Session.open(Server.shared().address() + root)) {
            assertEquals("/a", inner.zk.create("/a", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
            Events events = new Events();
            inner.zk.exists("/a", events);
            zk.delete(root + "/a", -1);
            events.expect(EventType.NodeDeleted, "/a");
        }
    }

    @Test
    void sessionAndWatchesOutliveARestart() throws Exception {
        try (Server server = Server.with().start(); Session own = Session.open(server.addresses())) {
            long id = own.zk.getSessionId();
            own.zk.create("/p", "kept".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            own.zk.create("/e", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            Events data = new Events();
            Events children = new Events();
            own.zk.getData("/p", data, null);
            own.zk.getChildren("/p", children);
            server.restart();
            own.events.awaitState(KeeperState.Disconnected);
            own.events.awaitState(KeeperState.SyncConnected);
            assertEquals(id, own.zk.getSessionId());
            assertArrayEquals("kept".getBytes(), own.zk.getData("/p", false, null));
            assertEquals(id, own.zk.exists("/e", false).getEphemeralOwner());
            own.zk.setData("/p", "new".getBytes(), 0);
            data.expect(EventType.NodeDataChanged, "/p");
            own.zk.create("/p/c", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            children.expect(EventType.NodeChildrenChanged, "/p");
        }
    }
}
