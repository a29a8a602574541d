package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicInteger;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.atomic.PromotedToLock;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedCountListener;
import org.apache.curator.framework.recipes.shared.SharedCountReader;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.zookeeper.CreateMode;
import org.junit.jupiter.api.Test;

/** Barriers, counters, nodes that stay, and groups. */
class CoordinationTest extends CuratorTest {
    @Test
    void barrier() throws Exception {
        DistributedBarrier gate = new DistributedBarrier(client, "/barrier");
        gate.setBarrier();
        DistributedBarrier waiting = new DistributedBarrier(other, "/barrier");
        assertFalse(waiting.waitOnBarrier(200, TimeUnit.MILLISECONDS));
        Future<Boolean> passed = inThread(() -> waiting.waitOnBarrier(Await.SECONDS_MAX, TimeUnit.SECONDS));
        gate.removeBarrier();
        assertTrue(get(passed));
    }

    @Test
    void doubleBarrier() throws Exception {
        int members = 4;
        AtomicInteger entered = new AtomicInteger();
        AtomicInteger leaving = new AtomicInteger();
        List<Future<int[]>> all = new ArrayList<>();
        for (int i = 0; i < members; i++) {
            DistributedDoubleBarrier barrier =
                    new DistributedDoubleBarrier(i % 2 == 0 ? client : other, "/barrier", members);
            all.add(inThread(() -> {
                entered.incrementAndGet();
                assertTrue(barrier.enter(Await.SECONDS_MAX, TimeUnit.SECONDS));
                int in = entered.get();
                leaving.incrementAndGet();
                assertTrue(barrier.leave(Await.SECONDS_MAX, TimeUnit.SECONDS));
                return new int[] {in, leaving.get()};
            }));
        }
        for (Future<int[]> one : all) {
            assertArrayEquals(new int[] {members, members}, get(one));
        }
    }

    @Test
    void sharedCount() throws Exception {
        SharedCount one = closing(new SharedCount(client, "/count", 7));
        SharedCount two = closing(new SharedCount(other, "/count", 7));
        BlockingQueue<Integer> told = new LinkedBlockingQueue<>();
        two.addListener(new SharedCountListener() {
            @Override
            public void countHasChanged(SharedCountReader count, int value) {
                told.add(value);
            }

            @Override
            public void stateChanged(CuratorFramework framework, ConnectionState state) {}
        });
        one.start();
        two.start();
        assertEquals(7, two.getCount());
        one.setCount(8);
        assertEquals(8, take(told));
        VersionedValue<Integer> stale = two.getVersionedValue();
        assertTrue(two.trySetCount(stale, 9));
        assertFalse(one.trySetCount(stale, 10));
        Await.until("the value arrives", () -> one.getCount() == 9);
        SharedValue value = closing(new SharedValue(client, "/value", "seed".getBytes()));
        value.start();
        value.setValue("next".getBytes());
        assertArrayEquals("next".getBytes(), value.getValue());
    }

    @Test
    void atomicNumbers() throws Exception {
        DistributedAtomicLong number = new DistributedAtomicLong(client, "/long", RETRY);
        assertTrue(number.initialize(100L));
        assertFalse(number.initialize(1L));
        AtomicValue<Long> added = number.add(5L);
        assertTrue(added.succeeded());
        assertEquals(100, added.preValue());
        assertEquals(105, added.postValue());
        assertFalse(number.compareAndSet(1L, 2L).succeeded());
        assertTrue(number.compareAndSet(105L, 2L).succeeded());
        assertEquals(1, number.decrement().postValue());
        DistributedAtomicInteger small = new DistributedAtomicInteger(other, "/int", RETRY);
        assertEquals(1, small.increment().postValue());
        assertEquals(-2, small.subtract(3).postValue());
    }

    @Test
    void atomicIncrementsAreNotLost() throws Exception {
        List<Future<Integer>> all = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            DistributedAtomicLong number = new DistributedAtomicLong(i % 2 == 0 ? client : other, "/long", RETRY,
                    PromotedToLock.builder().lockPath("/long-lock").retryPolicy(RETRY).build());
            all.add(inThread(() -> {
                int succeeded = 0;
                for (int n = 0; n < 15; n++) {
                    if (number.increment().succeeded()) {
                        succeeded++;
                    }
                }
                return succeeded;
            }));
        }
        long sum = 0;
        for (Future<Integer> one : all) {
            sum += get(one);
        }
        assertEquals(60, sum);
        assertEquals(sum, new DistributedAtomicLong(client, "/long", RETRY).get().postValue());
    }

    @Test
    void aPersistentNodeComesBack() throws Exception {
        Proxy proxy = closing(new Proxy(server()));
        CuratorFramework shaky = connect(proxy.address(), Session.SHORT_MS);
        PersistentNode node = closing(new PersistentNode(shaky, CreateMode.EPHEMERAL, false, "/node", "x".getBytes()));
        node.start();
        assertTrue(node.waitForInitialCreate(Await.SECONDS_MAX, TimeUnit.SECONDS));
        long owner = client.checkExists().forPath("/node").getEphemeralOwner();
        client.delete().forPath("/node");
        Await.until("created again after a delete", () -> exists(client, "/node"));
        node.setData("y".getBytes());
        Await.until("new data", () -> new String(client.getData().forPath("/node")).equals("y"));
        proxy.cut();
        Await.until("its session ends", () -> !exists(client, "/node"));
        proxy.restore();
        Await.until("created again by the next session", () -> exists(client, "/node"));
        assertTrue(client.checkExists().forPath("/node").getEphemeralOwner() != owner);
        assertArrayEquals("y".getBytes(), client.getData().forPath("/node"));
    }

    @Test
    void persistentNodesOfOtherModes() throws Exception {
        for (CreateMode mode : List.of(CreateMode.PERSISTENT, CreateMode.CONTAINER, CreateMode.EPHEMERAL_SEQUENTIAL)) {
            PersistentNode node = closing(new PersistentNode(client, mode, true, "/" + mode + "-", new byte[0]));
            node.start();
            assertTrue(node.waitForInitialCreate(Await.SECONDS_MAX, TimeUnit.SECONDS));
            assertTrue(exists(other, node.getActualPath()));
        }
    }

    @Test
    void aTtlNodeLivesAsLongAsItsKeeper() throws Exception {
        try (PersistentTtlNode node = new PersistentTtlNode(client, "/ttl", 600, "x".getBytes())) {
            node.start();
            assertTrue(node.waitForInitialCreate(Await.SECONDS_MAX, TimeUnit.SECONDS));
            // A node of the same time to live that nobody touches is the clock.
            client.create().withTtl(600).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/clock");
            Await.until("the clock runs out", () -> !exists(other, "/clock"));
            assertTrue(exists(other, "/ttl"));
        }
        Await.until("its keeper has gone", () -> !exists(other, "/ttl"));
    }

    @Test
    void groupMembers() throws Exception {
        GroupMember one = closing(new GroupMember(client, "/group", "one", "1".getBytes()));
        one.start();
        Await.until("alone", () -> one.getCurrentMembers().keySet().equals(Set.of("one")));
        GroupMember two = new GroupMember(other, "/group", "two", "2".getBytes());
        two.start();
        Await.until("both", () -> one.getCurrentMembers().size() == 2 && two.getCurrentMembers().size() == 2);
        assertArrayEquals("2".getBytes(), one.getCurrentMembers().get("two"));
        two.close();
        Await.until("alone again", () -> one.getCurrentMembers().size() == 1);
        assertNull(one.getCurrentMembers().get("two"));
    }
}
