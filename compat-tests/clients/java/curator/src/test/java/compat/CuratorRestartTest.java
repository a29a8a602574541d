package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.zookeeper.CreateMode;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The server goes and comes back while recipes are at work. */
class CuratorRestartTest extends CuratorTest {
    private static Server own;

    @BeforeAll
    static void start() {
        own = Server.with().start();
    }

    @AfterAll
    static void stop() {
        own.close();
    }

    @Override
    Server server() {
        return own;
    }

    @Override
    String address() {
        return own.addresses();
    }

    private void restart(boolean killed) throws Exception {
        BlockingQueue<ConnectionState> states = statesOf(client);
        BlockingQueue<ConnectionState> otherStates = statesOf(other);
        if (killed) {
            own.kill();
        } else {
            own.stop();
        }
        own.start();
        assertEquals(ConnectionState.SUSPENDED, take(states));
        assertEquals(ConnectionState.RECONNECTED, take(states));
        assertEquals(ConnectionState.SUSPENDED, take(otherStates));
        assertEquals(ConnectionState.RECONNECTED, take(otherStates));
    }

    @Test
    void aLockIsStillHeld() throws Exception {
        InterProcessMutex held = new InterProcessMutex(client, "/lock");
        held.acquire();
        InterProcessMutex wanted = new InterProcessMutex(other, "/lock");
        Future<Boolean> waiting = inThread(() -> wanted.acquire(Await.SECONDS_MAX, TimeUnit.SECONDS));
        Await.until("in the queue", () -> held.getParticipantNodes().size() == 2);
        restart(false);
        assertEquals(2, held.getParticipantNodes().size());
        assertFalse(waiting.isDone());
        held.release();
        assertTrue(get(waiting));
    }

    @Test
    void thereIsOneLeaderAfterwards() throws Exception {
        LeaderLatch one = new LeaderLatch(client, "/latch", "one");
        LeaderLatch two = new LeaderLatch(other, "/latch", "two");
        one.start();
        assertTrue(one.await(Await.SECONDS_MAX, TimeUnit.SECONDS));
        two.start();
        restart(true);
        Await.until("one of them leads", () -> one.hasLeadership() != two.hasLeadership());
        LeaderLatch leader = one.hasLeadership() ? one : two;
        LeaderLatch follower = leader == one ? two : one;
        leader.close();
        assertTrue(follower.await(Await.SECONDS_MAX, TimeUnit.SECONDS));
        follower.close();
    }

    @Test
    void cachesGoOn() throws Exception {
        client.create().forPath("/root", "1".getBytes());
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        CuratorCache cache = closing(CuratorCache.build(client, "/root"));
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forCreates(node -> events.add("created " + node.getPath()))
                .forChanges((old, node) -> events.add("changed " + node.getPath()))
                .build());
        cache.start();
        assertEquals("created /root", take(events));
        restart(true);
        other.create().forPath("/root/a");
        assertEquals("created /root/a", take(events));
        other.setData().forPath("/root", "2".getBytes());
        assertEquals("changed /root", take(events));
    }

    @Test
    void nodesCountersAndQueuesAreKept() throws Exception {
        PersistentNode node = closing(new PersistentNode(client, CreateMode.EPHEMERAL, false, "/node", new byte[0]));
        node.start();
        assertTrue(node.waitForInitialCreate(Await.SECONDS_MAX, TimeUnit.SECONDS));
        DistributedAtomicLong number = new DistributedAtomicLong(client, "/long", RETRY);
        number.add(41L);
        SimpleDistributedQueue queue = new SimpleDistributedQueue(client, "/q");
        queue.offer("kept".getBytes());
        long owner = client.checkExists().forPath("/node").getEphemeralOwner();
        Future<byte[]> waiting = inThread(() -> {
            SimpleDistributedQueue out = new SimpleDistributedQueue(other, "/empty");
            return out.poll(Await.SECONDS_MAX, TimeUnit.SECONDS);
        });
        restart(true);
        assertEquals(owner, other.checkExists().forPath("/node").getEphemeralOwner());
        assertEquals(42, number.increment().postValue());
        assertEquals("kept", new String(new SimpleDistributedQueue(other, "/q").take()));
        new SimpleDistributedQueue(client, "/empty").offer("late".getBytes());
        assertEquals("late", new String(get(waiting)));
    }

    @Test
    void callsDuringTheOutageAreTriedAgain() throws Exception {
        client.create().forPath("/n");
        own.stop();
        Future<Integer> writing = inThread(() -> client.setData().forPath("/n", "x".getBytes()).getVersion());
        own.start();
        assertEquals(1, get(writing));
    }
}
