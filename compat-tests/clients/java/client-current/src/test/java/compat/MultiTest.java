package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.zookeeper.AsyncCallback.MultiCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.OpResult.CreateResult;
import org.apache.zookeeper.OpResult.ErrorResult;
import org.apache.zookeeper.OpResult.GetChildrenResult;
import org.apache.zookeeper.OpResult.GetDataResult;
import org.apache.zookeeper.OpResult.SetDataResult;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;

/** Transactions of writes, and bundles of reads. */
class MultiTest extends ClientTest {
    private Op createOp(String name, CreateMode mode) {
        return Op.create(root + name, EMPTY, Ids.OPEN_ACL_UNSAFE, mode);
    }

    private static List<Integer> codes(List<OpResult> results) {
        return results.stream().map(result -> ((ErrorResult) result).getErr()).toList();
    }

    @Test
    void everyKindOfWriteHasItsResult() throws Exception {
        create("/old");
        List<OpResult> results = zk.multi(List.of(
                createOp("/p", CreateMode.PERSISTENT),
                createOp("/p/e", CreateMode.EPHEMERAL),
                createOp("/p/s", CreateMode.PERSISTENT_SEQUENTIAL),
                createOp("/p/es", CreateMode.EPHEMERAL_SEQUENTIAL),
                createOp("/c", CreateMode.CONTAINER),
                Op.create(root + "/t", EMPTY, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 60_000),
                Op.create(root + "/t", EMPTY, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, 60_000),
                Op.check(root + "/p", 0),
                Op.setData(root + "/p", "x".getBytes(), 0),
                Op.delete(root + "/old", 0)));
        assertEquals(root + "/p", ((CreateResult) results.get(0)).getPath());
        assertNull(((CreateResult) results.get(0)).getStat());
        assertEquals(root + "/p/e", ((CreateResult) results.get(1)).getPath());
        assertEquals(root + "/p/s0000000001", ((CreateResult) results.get(2)).getPath());
        assertEquals(root + "/p/es0000000002", ((CreateResult) results.get(3)).getPath());
        assertEquals(root + "/c", ((CreateResult) results.get(4)).getPath());
        assertEquals(stat(zk, root + "/c"), ((CreateResult) results.get(4)).getStat());
        assertEquals(stat(zk, root + "/t"), ((CreateResult) results.get(5)).getStat());
        assertEquals(root + "/t0000000004", ((CreateResult) results.get(6)).getPath());
        assertInstanceOf(OpResult.CheckResult.class, results.get(7));
        assertEquals(stat(zk, root + "/p"), ((SetDataResult) results.get(8)).getStat());
        assertInstanceOf(OpResult.DeleteResult.class, results.get(9));

        // One transaction, one zxid, one time.
        Stat parent = stat(zk, root + "/p");
        Stat child = stat(zk, root + "/p/s0000000001");
        assertEquals(parent.getCzxid(), child.getCzxid());
        assertEquals(parent.getCzxid(), parent.getMzxid());
        assertEquals(parent.getCtime(), child.getCtime());
        assertNull(stat(zk, root + "/old"));
    }

    @Test
    void aFailureUndoesEverythingAndNamesItsPlace() throws Exception {
        create("/a");
        Stat before = stat(zk, root);
        List<Op> ops = List.of(
                createOp("/s", CreateMode.PERSISTENT_SEQUENTIAL),
                Op.setData(root + "/a", "x".getBytes(), 0),
                Op.delete(root + "/missing", -1),
                Op.delete(root + "/a", -1));
        KeeperException e = assertThrows(KeeperException.NoNodeException.class, () -> zk.multi(ops));
        int later = Code.RUNTIMEINCONSISTENCY.intValue();
        assertEquals(List.of(0, 0, Code.NONODE.intValue(), later), codes(e.getResults()));
        assertEquals(before, stat(zk, root));
        assertArrayEquals(EMPTY, zk.getData(root + "/a", false, null));
        // Nor did the withdrawn create use up a number.
        assertEquals(root + "/s0000000001", create("/s", CreateMode.PERSISTENT_SEQUENTIAL));

        CompletableFuture<List<Integer>> answer = new CompletableFuture<>();
        AtomicInteger outcome = new AtomicInteger();
        zk.multi(ops, (MultiCallback) (code, path, context, results) -> {
            outcome.set(code);
            answer.complete(codes(results));
        }, null);
        assertEquals(List.of(0, 0, Code.NONODE.intValue(), later), get(answer));
        assertEquals(Code.NONODE.intValue(), outcome.get());
    }

    @Test
    void laterStepsSeeEarlierOnes() throws Exception {
        zk.multi(List.of(
                createOp("/x", CreateMode.PERSISTENT),
                createOp("/x/y", CreateMode.PERSISTENT),
                Op.delete(root + "/x/y", 0),
                Op.delete(root + "/x", 0),
                createOp("/x", CreateMode.EPHEMERAL)));
        assertEquals(zk.getSessionId(), stat(zk, root + "/x").getEphemeralOwner());
        KeeperException e = assertThrows(KeeperException.NoChildrenForEphemeralsException.class,
                () -> zk.multi(List.of(createOp("/z", CreateMode.EPHEMERAL), createOp("/z/z", CreateMode.PERSISTENT))));
        assertEquals(List.of(0, Code.NOCHILDRENFOREPHEMERALS.intValue()), codes(e.getResults()));
        assertNull(stat(zk, root + "/z"));
    }

    @Test
    void checkGuardsATransaction() throws Exception {
        create("/lock");
        zk.transaction().check(root + "/lock", 0).create(root + "/a", EMPTY, Ids.OPEN_ACL_UNSAFE,
                CreateMode.PERSISTENT).commit();
        assertNotNull(stat(zk, root + "/a"));
        zk.setData(root + "/lock", EMPTY, -1);
        assertThrows(KeeperException.BadVersionException.class,
                () -> zk.transaction().check(root + "/lock", 0).delete(root + "/a", -1).commit());
        assertNotNull(stat(zk, root + "/a"));
        assertThrows(KeeperException.NoNodeException.class,
                () -> zk.transaction().check(root + "/none", -1).commit());
        assertEquals(List.of(), zk.multi(List.of()));
    }

    @Test
    void watchesFireForEveryStep() throws Exception {
        create("/a");
        Events data = new Events();
        Events children = new Events();
        zk.getData(root + "/a", data, null);
        zk.getChildren(root, children);
        zk.multi(List.of(Op.setData(root + "/a", EMPTY, -1), createOp("/b", CreateMode.PERSISTENT),
                createOp("/c", CreateMode.PERSISTENT)));
        data.expect(EventType.NodeDataChanged, root + "/a");
        children.expect(EventType.NodeChildrenChanged, root);
        zk.getChildren(root, children);
        assertThrows(KeeperException.class, () -> zk.multi(List.of(Op.delete(root + "/b", -1),
                Op.check(root + "/c", 9))));
        children.expectNothing(zk);
        data.expectNothing(zk);
    }

    @Test
    void readsComeInOneBundle() throws Exception {
        zk.create(root + "/a", "x".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        create("/a/b");
        create("/a/c");
        List<OpResult> results = zk.multi(List.of(
                Op.getData(root + "/a"),
                Op.getData(root + "/missing"),
                Op.getChildren(root + "/a"),
                Op.getChildren(root + "/missing")));
        GetDataResult data = (GetDataResult) results.get(0);
        assertArrayEquals("x".getBytes(), data.getData());
        assertEquals(stat(zk, root + "/a"), data.getStat());
        assertEquals(Code.NONODE.intValue(), ((ErrorResult) results.get(1)).getErr());
        assertEquals(Set.of("b", "c"), Set.copyOf(((GetChildrenResult) results.get(2)).getChildren()));
        assertEquals(Code.NONODE.intValue(), ((ErrorResult) results.get(3)).getErr());
    }

    @Test
    void theLimitOfAFrameHoldsForTransactions() throws Exception {
        byte[] half = new byte[400_000];
        zk.multi(List.of(Op.create(root + "/1", half, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.create(root + "/2", half, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT)));
        assertEquals(400_000, stat(zk, root + "/2").getDataLength());
        assertThrows(KeeperException.ConnectionLossException.class, () -> zk.multi(List.of(
                Op.setData(root + "/1", half, -1), Op.setData(root + "/1", half, -1),
                Op.setData(root + "/1", half, -1))));
    }
}
