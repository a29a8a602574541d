package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.zookeeper.AsyncCallback.Children2Callback;
import org.apache.zookeeper.AsyncCallback.ChildrenCallback;
import org.apache.zookeeper.AsyncCallback.DataCallback;
import org.apache.zookeeper.AsyncCallback.EphemeralsCallback;
import org.apache.zookeeper.AsyncCallback.StatCallback;
import org.apache.zookeeper.AsyncCallback.VoidCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;

/** Reading, writing, listing and deleting, by both forms of each call. */
class DataTest extends ClientTest {
    private record Answer(int code, Object value, Stat stat) {}

    @Test
    void setDataAdvancesVersionAndZxid() throws Exception {
        String path = zk.create(root + "/a", "one".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Stat before = stat(zk, path);
        Stat after = zk.setData(path, "three".getBytes(), 0);
        assertEquals(1, after.getVersion());
        assertEquals(5, after.getDataLength());
        assertEquals(before.getCzxid(), after.getCzxid());
        assertEquals(before.getPzxid(), after.getPzxid());
        assertTrue(after.getMzxid() > before.getMzxid());
        assertTrue(after.getMtime() >= before.getMtime());
        assertEquals(after, stat(zk, path));
        assertEquals(2, zk.setData(path, EMPTY, -1).getVersion());
        assertThrows(KeeperException.BadVersionException.class, () -> zk.setData(path, EMPTY, 1));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.setData(root + "/no", EMPTY, -1));
        // The children of a node are no business of its own version.
        create("/a/b");
        assertEquals(2, stat(zk, path).getVersion());
    }

    @Test
    void deleteChecksVersionBeforeChildren() throws Exception {
        create("/a");
        create("/a/b");
        assertThrows(KeeperException.BadVersionException.class, () -> zk.delete(root + "/a", 5));
        assertThrows(KeeperException.NotEmptyException.class, () -> zk.delete(root + "/a", 0));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.delete(root + "/a/no", -1));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.delete(root + "/no/no", -1));
        zk.delete(root + "/a/b", 0);
        zk.delete(root + "/a", -1);
        assertNull(stat(zk, root + "/a"));
        assertEquals(0, stat(zk, root).getNumChildren());
        assertEquals(2, stat(zk, root).getCversion());
        for (String reserved : List.of("/zookeeper", "/zookeeper/quota", "/zookeeper/config")) {
            assertThrows(KeeperException.BadArgumentsException.class, () -> zk.delete(reserved, -1));
        }
    }

    @Test
    void childrenWithAndWithoutStat() throws Exception {
        create("/a");
        create("/b", CreateMode.EPHEMERAL);
        create("/b-not");
        Set<String> expected = Set.of("a", "b", "b-not");
        assertEquals(expected, Set.copyOf(zk.getChildren(root, false)));
        Stat stat = new Stat();
        assertEquals(expected, Set.copyOf(zk.getChildren(root, false, stat)));
        assertEquals(stat(zk, root), stat);
        assertEquals(3, stat.getNumChildren());
        assertEquals(List.of(), zk.getChildren(root + "/a", false));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.getChildren(root + "/no", false));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.getChildren(root + "/no", false, new Stat()));

        CompletableFuture<Answer> plain = new CompletableFuture<>();
        zk.getChildren(root, false, (ChildrenCallback) (code, path, context, names) ->
                plain.complete(new Answer(code, Set.copyOf(names), null)), null);
        assertEquals(new Answer(0, expected, null), get(plain));
        CompletableFuture<Answer> withStat = new CompletableFuture<>();
        zk.getChildren(root, false, (Children2Callback) (code, path, context, names, s) ->
                withStat.complete(new Answer(code, Set.copyOf(names), s)), null);
        assertEquals(new Answer(0, expected, stat), get(withStat));
    }

    @Test
    void manyChildrenAreListed() throws Exception {
        CompletableFuture<Integer> last = new CompletableFuture<>();
        int many = 2000;
        for (int i = 0; i < many; i++) {
            int index = i;
            zk.create(root + "/child-with-a-rather-long-name-" + i, EMPTY, Ids.OPEN_ACL_UNSAFE,
                    CreateMode.PERSISTENT, (code, path, context, name) -> {
                        if (code != 0 || index == many - 1) {
                            last.complete(code);
                        }
                    }, null);
        }
        assertEquals(0, get(last));
        assertEquals(many, zk.getChildren(root, false).size());
        assertEquals(many, zk.getAllChildrenNumber(root));
    }

    @Test
    void theAsynchronousFormsOfDataCalls() throws Exception {
        String path = create("/a");
        CompletableFuture<Answer> set = new CompletableFuture<>();
        zk.setData(path, "x".getBytes(), 0, (StatCallback) (code, p, context, stat) ->
                set.complete(new Answer(code, p, stat)), null);
        assertEquals(new Answer(0, path, stat(zk, path)), get(set));

        CompletableFuture<Answer> data = new CompletableFuture<>();
        zk.getData(path, false, (DataCallback) (code, p, context, bytes, stat) ->
                data.complete(new Answer(code, new String(bytes), stat)), null);
        assertEquals(new Answer(0, "x", stat(zk, path)), get(data));

        CompletableFuture<Answer> exists = new CompletableFuture<>();
        zk.exists(root + "/no", false, (StatCallback) (code, p, context, stat) ->
                exists.complete(new Answer(code, p, stat)), null);
        assertEquals(new Answer(Code.NONODE.intValue(), root + "/no", null), get(exists));

        CompletableFuture<Integer> stale = new CompletableFuture<>();
        zk.delete(path, 0, (VoidCallback) (code, p, context) -> stale.complete(code), null);
        assertEquals(Code.BADVERSION.intValue(), get(stale));
        CompletableFuture<Integer> deleted = new CompletableFuture<>();
        zk.delete(path, 1, (VoidCallback) (code, p, context) -> deleted.complete(code), null);
        assertEquals(0, get(deleted));
        assertNull(stat(zk, path));
    }

    @Test
    void syncAnswersForAnyPath() throws Exception {
        zk.sync(root);
        zk.sync("/never/was/there");
        CompletableFuture<String> answer = new CompletableFuture<>();
        zk.sync("/never", (code, path, context) -> answer.complete(code + path), null);
        assertEquals("0/never", get(answer));
    }

    @Test
    void allDescendantsAreCounted() throws Exception {
        create("/a");
        create("/a/b");
        create("/a/b/c");
        create("/ab");
        assertEquals(4, zk.getAllChildrenNumber(root));
        assertEquals(2, zk.getAllChildrenNumber(root + "/a"));
        assertEquals(0, zk.getAllChildrenNumber(root + "/ab"));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.getAllChildrenNumber(root + "/no"));
        CompletableFuture<Integer> answer = new CompletableFuture<>();
        zk.getAllChildrenNumber(root, (code, path, context, number) -> answer.complete(number), null);
        assertEquals(4, get(answer));
    }

    @Test
    void aFreshServerHasFourNodes() throws Exception {
        try (Server server = Server.with().start(); Session own = Session.open(server.address())) {
            assertEquals(3, own.zk.getAllChildrenNumber("/"));
            assertEquals(List.of("zookeeper"), own.zk.getChildren("/", false));
            assertEquals(Set.of("config", "quota"), Set.copyOf(own.zk.getChildren("/zookeeper", false)));
            Stat stat = stat(own.zk, "/");
            assertEquals(-1, stat.getCversion());
            assertEquals(0, stat.getCzxid() | stat.getMzxid() | stat.getPzxid() | stat.getCtime());
            create(own.zk, "/a", CreateMode.PERSISTENT);
            assertEquals(0, stat(own.zk, "/").getCversion());
            assertEquals(stat(own.zk, "/a").getCzxid(), stat(own.zk, "/").getPzxid());
        }
    }

    @Test
    void ephemeralsOfTheSession() throws Exception {
        assertEquals(List.of(), zk.getEphemerals());
        create("/e1", CreateMode.EPHEMERAL);
        create("/e2", CreateMode.EPHEMERAL);
        create("/p");
        create("/p/e", CreateMode.EPHEMERAL_SEQUENTIAL);
        Set<String> all = Set.of(root + "/e1", root + "/e2", root + "/p/e0000000000");
        assertEquals(all, Set.copyOf(zk.getEphemerals()));
        assertEquals(all, Set.copyOf(zk.getEphemerals("/")));
        assertEquals(Set.of(root + "/e1", root + "/e2"), Set.copyOf(zk.getEphemerals(root + "/e")));
        assertEquals(List.of(), zk.getEphemerals(root + "/none"));
        try (Session other = open()) {
            assertEquals(List.of(), other.zk.getEphemerals());
        }
        CompletableFuture<Set<String>> answer = new CompletableFuture<>();
        zk.getEphemerals((EphemeralsCallback) (code, context, paths) -> answer.complete(Set.copyOf(paths)), null);
        assertEquals(all, get(answer));
        CompletableFuture<List<String>> some = new CompletableFuture<>();
        zk.getEphemerals(root + "/p", (EphemeralsCallback) (code, context, paths) -> some.complete(paths), null);
        assertEquals(List.of(root + "/p/e0000000000"), get(some));
    }

    @Test
    void largeDataAndTheFrameLimit() throws Exception {
        byte[] large = new byte[1_000_000];
        large[999_999] = 7;
        String path = create("/large");
        zk.setData(path, large, -1);
        assertArrayEquals(large, zk.getData(path, false, null));
        long id = zk.getSessionId();
        // One byte more than a frame may have closes the connection; the session comes back.
        assertThrows(KeeperException.ConnectionLossException.class,
                () -> zk.setData(path, new byte[1_048_576], -1));
        session.events.awaitState(KeeperState.Disconnected);
        session.events.awaitState(KeeperState.SyncConnected);
        assertEquals(id, zk.getSessionId());
        assertEquals(1, stat(zk, path).getVersion());
    }

    @Test
    void theFrameLimitCanBeSet() throws Exception {
        try (Server server = Server.with().flag("jute.maxbuffer", "2000").start();
                Session own = Session.open(server.address())) {
            own.zk.create("/fits", new byte[1800], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            assertThrows(KeeperException.ConnectionLossException.class, () -> own.zk.create("/does-not",
                    new byte[2000], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        }
    }
}
