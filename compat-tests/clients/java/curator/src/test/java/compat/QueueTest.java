package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.queue.DistributedDelayQueue;
import org.apache.curator.framework.recipes.queue.DistributedIdQueue;
import org.apache.curator.framework.recipes.queue.DistributedPriorityQueue;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.state.ConnectionState;
import org.junit.jupiter.api.Test;

/** Queues of every discipline. */
class QueueTest extends CuratorTest {
    private final BlockingQueue<String> consumed = new LinkedBlockingQueue<>();

    private static final QueueSerializer<String> TEXT = new QueueSerializer<>() {
        @Override
        public byte[] serialize(String item) {
            return item.getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public String deserialize(byte[] bytes) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
    };

    private QueueConsumer<String> consumer() {
        return new QueueConsumer<>() {
            @Override
            public void consumeMessage(String message) {
                consumed.add(message);
            }

            @Override
            public void stateChanged(CuratorFramework framework, ConnectionState state) {}
        };
    }

    private QueueBuilder<String> producing(String path) {
        return QueueBuilder.builder(client, null, TEXT, path);
    }

    private QueueBuilder<String> consuming(String path) {
        return QueueBuilder.builder(other, consumer(), TEXT, path);
    }

    @Test
    void firstInFirstOut() throws Exception {
        DistributedQueue<String> in = closing(producing("/q").buildQueue());
        in.start();
        for (int i = 0; i < 20; i++) {
            in.put("item-" + i);
        }
        assertTrue(in.flushPuts(Await.SECONDS_MAX, TimeUnit.SECONDS));
        DistributedQueue<String> out = closing(consuming("/q").buildQueue());
        out.start();
        for (int i = 0; i < 20; i++) {
            assertEquals("item-" + i, take(consumed));
        }
        in.put("late");
        assertEquals("late", take(consumed));
    }

    @Test
    void underALockEachItemIsConsumedOnce() throws Exception {
        DistributedQueue<String> in = closing(producing("/q").lockPath("/locks").buildQueue());
        in.start();
        DistributedQueue<String> one = closing(consuming("/q").lockPath("/locks").buildQueue());
        DistributedQueue<String> two = closing(
                QueueBuilder.builder(client, consumer(), TEXT, "/q").lockPath("/locks").buildQueue());
        one.start();
        two.start();
        Set<String> seen = new HashSet<>();
        for (int i = 0; i < 20; i++) {
            in.put("item-" + i);
        }
        for (int i = 0; i < 20; i++) {
            assertTrue(seen.add(take(consumed)));
        }
        Await.until("the queue is empty", () -> client.getChildren().forPath("/q").isEmpty());
        assertTrue(consumed.isEmpty());
    }

    @Test
    void byPriority() throws Exception {
        DistributedPriorityQueue<String> in = closing(producing("/q").buildPriorityQueue(0));
        in.start();
        in.put("low", 10);
        in.put("high", -5);
        in.put("middle", 1);
        assertTrue(in.flushPuts(Await.SECONDS_MAX, TimeUnit.SECONDS));
        DistributedPriorityQueue<String> out = closing(consuming("/q").buildPriorityQueue(0));
        out.start();
        assertEquals(List.of("high", "middle", "low"), List.of(take(consumed), take(consumed), take(consumed)));
    }

    @Test
    void byDelay() throws Exception {
        DistributedDelayQueue<String> in = closing(producing("/q").buildDelayQueue());
        in.start();
        long now = System.currentTimeMillis();
        in.put("later", now + 1200);
        in.put("sooner", now + 600);
        DistributedDelayQueue<String> out = closing(consuming("/q").buildDelayQueue());
        out.start();
        assertEquals("sooner", take(consumed));
        assertTrue(System.currentTimeMillis() >= now + 600);
        assertEquals("later", take(consumed));
        assertTrue(System.currentTimeMillis() >= now + 1200);
    }

    @Test
    void byId() throws Exception {
        DistributedIdQueue<String> in = closing(producing("/q").buildIdQueue());
        in.start();
        in.put("one", "id-1");
        in.put("two", "id-2");
        in.put("three", "id-1");
        assertTrue(in.flushPuts(Await.SECONDS_MAX, TimeUnit.SECONDS));
        assertEquals(2, in.remove("id-1"));
        DistributedIdQueue<String> out = closing(consuming("/q").buildIdQueue());
        out.start();
        assertEquals("two", take(consumed));
    }

    @Test
    void theSimpleQueue() throws Exception {
        SimpleDistributedQueue in = new SimpleDistributedQueue(client, "/q");
        SimpleDistributedQueue out = new SimpleDistributedQueue(other, "/q");
        assertNull(out.peek());
        assertThrows(NoSuchElementException.class, out::element);
        assertTrue(in.offer("a".getBytes()));
        assertTrue(in.offer("b".getBytes()));
        assertArrayEquals("a".getBytes(), out.peek());
        assertArrayEquals("a".getBytes(), out.take());
        assertArrayEquals("b".getBytes(), out.poll());
        Future<byte[]> waiting = inThread(() -> out.poll(Await.SECONDS_MAX, TimeUnit.SECONDS));
        in.offer("c".getBytes());
        assertArrayEquals("c".getBytes(), get(waiting));
        assertNull(out.poll());
    }
}
