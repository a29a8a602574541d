package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.zookeeper.AsyncCallback.Create2Callback;
import org.apache.zookeeper.AsyncCallback.StringCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every kind of node, by both forms of the call. */
class CreateTest extends ClientTest {
    private static final long TTL_MS = 60_000;

    private record Created(int code, String name, Stat stat) {}

    @ParameterizedTest
    @EnumSource(CreateMode.class)
    void everyModeWithStat(CreateMode mode) throws Exception {
        byte[] data = "abc".getBytes();
        Stat stat = new Stat();
        String name = zk.create(root + "/n", data, Ids.OPEN_ACL_UNSAFE, mode, stat, mode.isTTL() ? TTL_MS : -1);
        checkCreated(mode, name, stat, data);
    }

    @ParameterizedTest
    @EnumSource(CreateMode.class)
    void everyModeAsynchronously(CreateMode mode) throws Exception {
        byte[] data = "abcd".getBytes();
        CompletableFuture<Created> answer = new CompletableFuture<>();
        zk.create(root + "/n", data, Ids.OPEN_ACL_UNSAFE, mode,
                (Create2Callback) (code, path, context, name, stat) ->
                        answer.complete(new Created(code, name, stat)),
                null, mode.isTTL() ? TTL_MS : -1);
        Created created = get(answer);
        assertEquals(0, created.code());
        checkCreated(mode, created.name(), created.stat(), data);
    }

    private void checkCreated(CreateMode mode, String name, Stat stat, byte[] data) throws Exception {
        assertEquals(root + (mode.isSequential() ? "/n0000000000" : "/n"), name);
        Stat read = new Stat();
        assertArrayEquals(data, zk.getData(name, false, read));
        assertEquals(read, stat);
        assertEquals(mode.isEphemeral() ? zk.getSessionId() : 0, stat.getEphemeralOwner());
        assertEquals(data.length, stat.getDataLength());
        assertEquals(stat.getCzxid(), stat.getMzxid());
        assertEquals(stat.getCzxid(), stat.getPzxid());
        assertEquals(stat.getCtime(), stat.getMtime());
        assertEquals(0, stat.getVersion() | stat.getCversion() | stat.getAversion() | stat.getNumChildren());
        Stat parent = stat(zk, root);
        assertEquals(stat.getCzxid(), parent.getPzxid());
        assertEquals(1, parent.getCversion());
        assertEquals(1, parent.getNumChildren());
    }

    @ParameterizedTest
    @EnumSource(value = CreateMode.class, names = {"PERSISTENT", "PERSISTENT_SEQUENTIAL", "EPHEMERAL",
            "EPHEMERAL_SEQUENTIAL", "CONTAINER"})
    void thePlainForms(CreateMode mode) throws Exception {
        assertEquals(root + (mode.isSequential() ? "/a0000000000" : "/a"), create("/a", mode));
        CompletableFuture<Created> answer = new CompletableFuture<>();
        zk.create(root + "/b", EMPTY, Ids.OPEN_ACL_UNSAFE, mode,
                (StringCallback) (code, path, context, name) ->
                        answer.complete(new Created(code, name + context, null)), "!");
        assertEquals(new Created(0, root + (mode.isSequential() ? "/b0000000001!" : "/b!"), null), get(answer));
    }

    @Test
    void errorsOfCreate() throws Exception {
        create("/a");
        assertThrows(KeeperException.NodeExistsException.class, () -> create("/a"));
        assertThrows(KeeperException.NoNodeException.class, () -> create("/missing/a"));
        create("/e", CreateMode.EPHEMERAL);
        assertThrows(KeeperException.NoChildrenForEphemeralsException.class, () -> create("/e/a"));
        assertThrows(KeeperException.NodeExistsException.class, () -> create("/e"));
        List<ACL> unknown = Collections.singletonList(new ACL(31, new Id("nonsense", "x")));
        assertThrows(KeeperException.InvalidACLException.class,
                () -> zk.create(root + "/x", EMPTY, unknown, CreateMode.PERSISTENT));
        assertThrows(KeeperException.InvalidACLException.class,
                () -> zk.create(root + "/x", EMPTY, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));

        CompletableFuture<Integer> answer = new CompletableFuture<>();
        zk.create(root + "/a", EMPTY, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT,
                (Create2Callback) (code, path, context, name, stat) -> answer.complete(code), null);
        assertEquals(Code.NODEEXISTS.intValue(), get(answer));
    }

    @Test
    void noDataAndEmptyDataDiffer() throws Exception {
        zk.create(root + "/null", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        create("/empty");
        assertNull(zk.getData(root + "/null", false, null));
        assertArrayEquals(EMPTY, zk.getData(root + "/empty", false, null));
        zk.setData(root + "/empty", null, -1);
        assertNull(zk.getData(root + "/empty", false, null));
    }

    @Test
    void namesInOtherScriptsSurvive() throws Exception {
        String name = create("/größe-日本-é");
        assertEquals(root + "/größe-日本-é", name);
        assertEquals(List.of("größe-日本-é"), zk.getChildren(root, false));
        assertArrayEquals(EMPTY, zk.getData(name, false, null));
    }

    @Test
    void theSequenceCountsEveryChildButNoDelete() throws Exception {
        create("/plain");
        create("/gone");
        zk.delete(root + "/gone", -1);
        assertEquals(root + "/s0000000002", create("/s", CreateMode.PERSISTENT_SEQUENTIAL));
        assertEquals(root + "/0000000003", create("/", CreateMode.EPHEMERAL_SEQUENTIAL));
        create("/t0000000004");
        assertEquals(root + "/t0000000005", create("/t", CreateMode.PERSISTENT_SEQUENTIAL));
    }

    @Test
    void aContainerGoesAfterItsLastChild() throws Exception {
        String container = create("/c", CreateMode.CONTAINER);
        create("/c/a");
        create("/c/b", CreateMode.EPHEMERAL);
        Events events = new Events();
        zk.exists(container, events);
        zk.delete(root + "/c/b", -1);
        zk.delete(root + "/c/a", -1);
        events.expect(EventType.NodeDeleted, container);
    }

    @Test
    void aNodeGoesAfterItsTimeToLive() throws Exception {
        String parent = zk.create(root + "/parent", EMPTY, Ids.OPEN_ACL_UNSAFE,
                CreateMode.PERSISTENT_WITH_TTL, new Stat(), 300);
        create("/parent/child");
        String leaf = zk.create(root + "/leaf", EMPTY, Ids.OPEN_ACL_UNSAFE,
                CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, new Stat(), 300);
        Events leafEvents = new Events();
        zk.exists(leaf, leafEvents);
        leafEvents.expect(EventType.NodeDeleted, leaf);
        // Older than the leaf, but not empty.
        Events parentEvents = new Events();
        assertNotNull(zk.exists(parent, parentEvents));
        zk.delete(root + "/parent/child", -1);
        parentEvents.expect(EventType.NodeDeleted, parent);
    }

    @Test
    void timeToLiveHasToBeSwitchedOn() throws Exception {
        try (Server server = Server.with().set("extendedTypesEnabled", "false").start();
                Session own = Session.open(server.address())) {
            assertThrows(KeeperException.UnimplementedException.class, () -> own.zk.create("/ttl", EMPTY,
                    Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, new Stat(), TTL_MS));
            assertTrue(own.zk.getState().isConnected());
            create(own.zk, "/container", CreateMode.CONTAINER);
        }
    }
}
