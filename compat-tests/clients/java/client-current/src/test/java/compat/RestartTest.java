package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The server goes and comes back on its data; each test has a server of its own. */
class RestartTest {
    private static final byte[] EMPTY = new byte[0];

    private static void down(Server server, boolean killed) {
        if (killed) {
            server.kill();
        } else {
            server.stop();
        }
    }

    private static void create(ZooKeeper zk, String path, CreateMode mode) throws Exception {
        zk.create(path, EMPTY, Ids.OPEN_ACL_UNSAFE, mode);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void everythingAcknowledgedIsThere(boolean killed) throws Exception {
        try (Server server = Server.with().start(); Session session = Session.open(server.addresses())) {
            ZooKeeper zk = session.zk;
            zk.addAuthInfo("digest", "ann:secret".getBytes());
            zk.create("/data", "one".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.setData("/data", "two".getBytes(), 0);
            zk.create("/null", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            zk.create("/secret", EMPTY, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            create(zk, "/data/s", CreateMode.PERSISTENT_SEQUENTIAL);
            create(zk, "/data/gone", CreateMode.PERSISTENT);
            zk.delete("/data/gone", -1);
            create(zk, "/container", CreateMode.CONTAINER);
            create(zk, "/container/x", CreateMode.PERSISTENT);
            zk.create("/ttl", EMPTY, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 1_000_000);
            create(zk, "/e", CreateMode.EPHEMERAL);
            zk.multi(List.of(Op.create("/m", EMPTY, Ids.READ_ACL_UNSAFE, CreateMode.PERSISTENT),
                    Op.setData("/data", "three".getBytes(), 1)));
            assertThrows(KeeperException.class, () -> zk.multi(List.of(
                    Op.setData("/data", "never".getBytes(), 2), Op.check("/m", 5))));
            List<String> paths = List.of("/", "/data", "/null", "/secret", "/data/s0000000000", "/container",
                    "/container/x", "/ttl", "/e", "/m");
            List<Stat> before = stats(zk, paths);
            List<ACL> acl = zk.getACL("/secret", null);
            long id = zk.getSessionId();

            down(server, killed);
            session.events.awaitState(KeeperState.Disconnected);
            assertThrows(KeeperException.ConnectionLossException.class, () -> zk.exists("/", false));
            server.start();
            session.events.awaitState(KeeperState.SyncConnected);

            assertEquals(id, zk.getSessionId());
            assertEquals(before, stats(zk, paths));
            assertEquals(acl, zk.getACL("/secret", null));
            assertEquals(Ids.READ_ACL_UNSAFE, zk.getACL("/m", null));
            assertArrayEquals("three".getBytes(), zk.getData("/data", false, null));
            assertNull(zk.getData("/null", false, null));
            assertEquals(List.of("/e"), zk.getEphemerals());
            assertEquals("/data/s0000000002", zk.create("/data/s", EMPTY, Ids.OPEN_ACL_UNSAFE,
                    CreateMode.PERSISTENT_SEQUENTIAL));
        }
    }

    private static List<Stat> stats(ZooKeeper zk, List<String> paths) throws Exception {
        List<Stat> stats = new ArrayList<>();
        for (String path : paths) {
            stats.add(zk.exists(path, false));
        }
        return stats;
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void watchesAreSetAgain(boolean killed) throws Exception {
        try (Server server = Server.with().start(); Session session = Session.open(server.addresses())) {
            ZooKeeper zk = session.zk;
            create(zk, "/n", CreateMode.PERSISTENT);
            Events data = new Events();
            Events children = new Events();
            Events missing = new Events();
            Events persistent = new Events();
            Events recursive = new Events();
            zk.getData("/n", data, null);
            zk.getChildren("/n", children);
            zk.exists("/missing", missing);
            zk.addWatch("/n", persistent, AddWatchMode.PERSISTENT);
            zk.addWatch("/", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
            down(server, killed);
            server.start();
            session.events.awaitState(KeeperState.Disconnected);
            session.events.awaitState(KeeperState.SyncConnected);
            for (Events events : List.of(data, children, missing, persistent, recursive)) {
                events.expectNothing(zk);
            }
            zk.setData("/n", EMPTY, -1);
            create(zk, "/n/c", CreateMode.PERSISTENT);
            create(zk, "/missing", CreateMode.PERSISTENT);
            data.expect(EventType.NodeDataChanged, "/n");
            children.expect(EventType.NodeChildrenChanged, "/n");
            missing.expect(EventType.NodeCreated, "/missing");
            persistent.expect(EventType.NodeDataChanged, "/n");
            persistent.expect(EventType.NodeChildrenChanged, "/n");
            recursive.expect(EventType.NodeDataChanged, "/n");
            recursive.expect(EventType.NodeCreated, "/n/c");
            recursive.expect(EventType.NodeCreated, "/missing");
        }
    }

    @Test
    void changesMissedAcrossARestartAreTold() throws Exception {
        try (Server server = Server.with().start();
                Proxy proxy = new Proxy(server);
                Session away = Session.open(proxy.address());
                Session other = Session.open(server.addresses())) {
            create(other.zk, "/changed", CreateMode.PERSISTENT);
            create(other.zk, "/still", CreateMode.PERSISTENT);
            Events changed = new Events();
            Events created = new Events();
            Events still = new Events();
            away.zk.getData("/changed", changed, null);
            away.zk.exists("/created", created);
            away.zk.getData("/still", still, null);
            proxy.cut();
            away.events.awaitState(KeeperState.Disconnected);
            other.zk.setData("/changed", EMPTY, -1);
            create(other.zk, "/created", CreateMode.PERSISTENT);
            server.restart();
            proxy.restore();
            away.events.awaitState(KeeperState.SyncConnected);
            changed.expect(EventType.NodeDataChanged, "/changed");
            created.expect(EventType.NodeCreated, "/created");
            still.expectNothing(away.zk);
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void sessionsThatDoNotComeBackExpire(boolean killed) throws Exception {
        try (Server server = Server.with().start();
                Proxy proxy = new Proxy(server);
                Session watcher = Session.open(server.addresses())) {
            Session lost = Session.open(proxy.address(), Session.SHORT_MS);
            Session closed = Session.open(server.addresses());
            create(lost.zk, "/lost", CreateMode.EPHEMERAL);
            create(closed.zk, "/closed", CreateMode.EPHEMERAL);
            closed.close();
            proxy.cut();
            down(server, killed);
            server.start();
            watcher.events.awaitState(KeeperState.Disconnected);
            watcher.events.awaitState(KeeperState.SyncConnected);
            // It has its full time again from the start of the server, then it goes.
            Await.until("the lost session's node goes", () -> watcher.zk.exists("/lost", false) == null);
            assertNull(watcher.zk.exists("/closed", false));
            proxy.restore();
            lost.events.awaitState(KeeperState.Expired);
            lost.close();
        }
    }

    @Test
    void aSessionIsResumedByIdAfterARestart() throws Exception {
        try (Server server = Server.with().start(); Proxy proxy = new Proxy(server)) {
            Session first = Session.open(proxy.address());
            create(first.zk, "/e", CreateMode.EPHEMERAL);
            proxy.cut();
            server.restart();
            try (Session second = Session.resume(server.addresses(), Session.LONG_MS, first.zk.getSessionId(),
                    first.zk.getSessionPasswd(), KeeperState.SyncConnected)) {
                assertEquals(List.of("/e"), second.zk.getEphemerals());
                assertNotNull(second.zk.exists("/e", false));
            }
            first.close();
        }
    }

    @Test
    void newSessionsGetNewIdsAfterARestart() throws Exception {
        try (Server server = Server.with().start(); Session first = Session.open(server.addresses())) {
            long id = first.zk.getSessionId();
            for (int i = 0; i < 3; i++) {
                server.restart();
                first.events.awaitState(KeeperState.Disconnected);
                first.events.awaitState(KeeperState.SyncConnected);
                try (Session next = Session.open(server.addresses())) {
                    assertNotEquals(id, next.zk.getSessionId());
                    id = next.zk.getSessionId();
                }
            }
        }
    }
}
