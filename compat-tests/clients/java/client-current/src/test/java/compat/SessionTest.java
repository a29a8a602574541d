package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.junit.jupiter.api.Test;

/** How sessions begin, move, end and come back. */
class SessionTest extends ClientTest {
    @Test
    void timeoutsAreBroughtIntoTheServersRange() throws Exception {
        for (int[] pair : new int[][] {{200, 400}, {5_000, 5_000}, {3_000_000, 60_000}}) {
            try (Session own = Session.open(Server.shared().address(), pair[0])) {
                assertEquals(pair[1], own.zk.getSessionTimeout());
            }
        }
    }

    @Test
    void sessionsHaveDifferentIdsAndPasswords() throws Exception {
        try (Session other = open()) {
            assertNotEquals(zk.getSessionId(), other.zk.getSessionId());
            assertNotEquals(new BigInteger(zk.getSessionPasswd()),
                    new BigInteger(other.zk.getSessionPasswd()));
        }
    }

    @Test
    void aClosedSessionTakesItsEphemeralsAlong() throws Exception {
        Events events = new Events();
        zk.addWatch(root, events, AddWatchMode.PERSISTENT);
        Session other = open();
        create(other.zk, root + "/e1", CreateMode.EPHEMERAL);
        create(other.zk, root + "/e2", CreateMode.EPHEMERAL);
        create(other.zk, root + "/p", CreateMode.PERSISTENT);
        for (int i = 0; i < 3; i++) {
            events.expect(EventType.NodeChildrenChanged, root);
        }
        long id = other.zk.getSessionId();
        byte[] password = other.zk.getSessionPasswd();
        other.close();
        // One event for each node that went.
        events.expect(EventType.NodeChildrenChanged, root);
        events.expect(EventType.NodeChildrenChanged, root);
        events.expectNothing(zk);
        assertEquals(List.of("p"), zk.getChildren(root, false));
        Session.resume(Server.shared().address(), Session.LONG_MS, id, password, KeeperState.Expired).close();
    }

    @Test
    void aSessionMovesToANewConnection() throws Exception {
        try (Proxy proxy = new Proxy(Server.shared())) {
            Session first = Session.open(proxy.address());
            create(first.zk, root + "/e", CreateMode.EPHEMERAL);
            long id = first.zk.getSessionId();
            // The first client must not come back to fight for its session.
            proxy.cut();
            first.events.awaitState(KeeperState.Disconnected);
            Session second = Session.resume(Server.shared().address(), 7_000, id, first.zk.getSessionPasswd(),
                    KeeperState.SyncConnected);
            assertEquals(id, second.zk.getSessionId());
            assertEquals(7_000, second.zk.getSessionTimeout());
            assertArrayEquals(first.zk.getSessionPasswd(), second.zk.getSessionPasswd());
            assertEquals(List.of(root + "/e"), second.zk.getEphemerals());
            second.zk.delete(root + "/e", -1);
            second.close();
            proxy.restore();
            first.events.awaitState(KeeperState.Expired);
            first.close();
        }
    }

    @Test
    void aTakenOverConnectionIsClosed() throws Exception {
        Session first = open();
        Session second = Session.resume(Server.shared().address(), Session.LONG_MS, first.zk.getSessionId(),
                first.zk.getSessionPasswd(), KeeperState.SyncConnected);
        // The server drops the old connection; its client then takes the session back.
        first.events.awaitState(KeeperState.Disconnected);
        second.close();
        first.close();
    }

    @Test
    void aWrongPasswordOrAnUnknownIdIsAnExpiredSession() throws Exception {
        String server = Server.shared().address();
        byte[] wrong = zk.getSessionPasswd().clone();
        wrong[0] ^= 1;
        Session.resume(server, Session.LONG_MS, zk.getSessionId(), wrong, KeeperState.Expired).close();
        Session.resume(server, Session.LONG_MS, 0x1234567, new byte[16], KeeperState.Expired).close();
        // The Java server drops the owner's connection before it looks at the password; the session stays.
        Await.until("the owner has its session", () -> stat(zk, root) != null);
        assertFalse(session.events.sawState(KeeperState.Expired));
    }

    @Test
    void silenceExpiresASession() throws Exception {
        try (Proxy proxy = new Proxy(Server.shared())) {
            Session silent = Session.open(proxy.address(), Session.SHORT_MS);
            create(silent.zk, root + "/e", CreateMode.EPHEMERAL);
            Events events = new Events();
            assertNotNull(zk.exists(root + "/e", events));
            Events own = new Events();
            silent.zk.exists(root + "/e", own);
            proxy.cut();
            events.expect(EventType.NodeDeleted, root + "/e");
            proxy.restore();
            silent.events.awaitState(KeeperState.Expired);
            assertThrows(KeeperException.SessionExpiredException.class, () -> silent.zk.exists("/", false));
            silent.close();
        }
    }

    @Test
    void pingsKeepAnIdleSession() throws Exception {
        try (Session idle = Session.open(Server.shared().address(), 3_000)) {
            create(idle.zk, root + "/idle", CreateMode.EPHEMERAL);
            // Another session of the same length, unable to ping, is the clock.
            try (Proxy proxy = new Proxy(Server.shared())) {
                Session silent = Session.open(proxy.address(), 3_000);
                create(silent.zk, root + "/silent", CreateMode.EPHEMERAL);
                Events events = new Events();
                zk.exists(root + "/silent", events);
                proxy.cut();
                events.expect(EventType.NodeDeleted, root + "/silent");
                proxy.restore();
                silent.events.awaitState(KeeperState.Expired);
                silent.close();
            }
            assertNotNull(stat(zk, root + "/idle"));
            assertEquals(idle.zk.getSessionId(), stat(zk, root + "/idle").getEphemeralOwner());
        }
    }

    @Test
    void aChrootHidesTheRest() throws Exception {
        try (Session inner = Session.open(Server.shared().address() + root)) {
            assertEquals("/a", create(inner.zk, "/a", CreateMode.PERSISTENT));
            assertEquals("/a/s0000000000", create(inner.zk, "/a/s", CreateMode.EPHEMERAL_SEQUENTIAL));
            assertEquals(List.of("a"), inner.zk.getChildren("/", false));
            assertEquals(2, inner.zk.getAllChildrenNumber("/"));
            Events once = new Events();
            Events recursive = new Events();
            inner.zk.getData("/a", once, null);
            inner.zk.addWatch("/", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
            zk.setData(root + "/a", EMPTY, -1);
            once.expect(EventType.NodeDataChanged, "/a");
            recursive.expect(EventType.NodeDataChanged, "/a");
            inner.zk.multi(List.of(Op.setData("/a", EMPTY, 1)));
            recursive.expect(EventType.NodeDataChanged, "/a");
        }
        try (Session nowhere = Session.open(Server.shared().address() + root + "/none")) {
            assertThrows(KeeperException.NoNodeException.class,
                    () -> create(nowhere.zk, "/a", CreateMode.PERSISTENT));
            assertNull(stat(nowhere.zk, "/"));
        }
    }

    @Test
    void aReadOnlyClientUsesAFullServerFully() throws Exception {
        Events events = new Events();
        ZooKeeper readOnly = new ZooKeeper(Server.shared().address(), Session.LONG_MS, events, true);
        events.awaitState(KeeperState.SyncConnected);
        assertEquals(ZooKeeper.States.CONNECTED, readOnly.getState());
        create(readOnly, root + "/a", CreateMode.EPHEMERAL);
        readOnly.close();
        assertNull(stat(zk, root + "/a"));
    }

    @Test
    void requestsInFlightAreAnsweredInOrder() throws Exception {
        int many = 5000;
        List<Integer> order = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<Integer> done = new CompletableFuture<>();
        String path = create("/n");
        for (int i = 0; i < many; i++) {
            int index = i;
            if (i % 3 == 0) {
                zk.setData(path, EMPTY, i / 3, (code, p, context, stat) -> order.add(code == 0 ? index : code), null);
            } else {
                zk.exists(path, false, (code, p, context, stat) ->
                        order.add(stat.getVersion() == index / 3 + 1 ? index : -stat.getVersion()), null);
            }
        }
        zk.sync("/", (code, p, context) -> done.complete(code), null);
        assertEquals(0, get(done));
        assertEquals(IntStream.range(0, many).boxed().toList(), order);
    }

    @Test
    void manySessionsAtOnce() throws Exception {
        int many = 100;
        List<ZooKeeper> sessions = new ArrayList<>();
        for (int i = 0; i < many; i++) {
            sessions.add(new ZooKeeper(Server.shared().address(), Session.LONG_MS, event -> {}));
        }
        for (int i = 0; i < many; i++) {
            ZooKeeper one = sessions.get(i);
            Await.until("connected", () -> one.getState().isConnected());
            create(one, root + "/e" + i, CreateMode.EPHEMERAL);
        }
        assertEquals(many, zk.getChildren(root, false).size());
        for (ZooKeeper one : sessions) {
            one.close();
        }
        assertEquals(0, zk.getChildren(root, false).size());
    }

    private static boolean refuses(Server server) {
        try {
            return server.word("srvr").isEmpty();
        } catch (IOException e) {
            return true;
        }
    }

    @Test
    void connectionsOfOneAddressAreLimited() throws Exception {
        try (Server server = Server.with().set("maxClientCnxns", "2").start();
                Session one = Session.open(server.address())) {
            Session two = Session.open(server.address());
            Events refused = new Events();
            ZooKeeper third = new ZooKeeper(server.address(), Session.LONG_MS, refused);
            // The third connects as soon as a place is free, and was refused until then.
            assertNotNull(stat(one.zk, "/"));
            assertTrue(refuses(server));
            assertEquals(ZooKeeper.States.CONNECTING, third.getState());
            two.close();
            refused.awaitState(KeeperState.SyncConnected);
            third.close();
        }
    }
}
