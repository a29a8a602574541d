package compat;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.RetryPolicy;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Two Curator clients in a namespace of their own, and threads for those who must wait. */
abstract class CuratorTest {
    static final RetryPolicy RETRY = new RetryNTimes(200, 100);
    private static final AtomicInteger COUNTER = new AtomicInteger();

    private final List<AutoCloseable> closing = new ArrayList<>();
    private ExecutorService threads;
    String namespace;
    CuratorFramework client;
    CuratorFramework other;

    @BeforeEach
    void openClients() throws Exception {
        namespace = "c-" + ProcessHandle.current().pid() + "-" + COUNTER.incrementAndGet();
        threads = Executors.newCachedThreadPool();
        client = connect();
        other = connect();
    }

    @AfterEach
    void closeAll() throws Exception {
        threads.shutdownNow();
        for (int i = closing.size() - 1; i >= 0; i--) {
            closing.get(i).close();
        }
    }

    /** The server that this test talks to. */
    Server server() {
        return Server.shared();
    }

    String address() {
        return server().address();
    }

    /** Ends with the test, after whatever was handed in later. */
    <T extends AutoCloseable> T closing(T resource) {
        closing.add(resource);
        return resource;
    }

    CuratorFramework connect() throws Exception {
        return connect(address(), Session.LONG_MS);
    }

    CuratorFramework connect(String address, int sessionTimeoutMs) throws Exception {
        CuratorFramework framework = closing(CuratorFrameworkFactory.builder()
                .connectString(address)
                .namespace(namespace)
                .sessionTimeoutMs(sessionTimeoutMs)
                .connectionTimeoutMs(Session.LONG_MS)
                .retryPolicy(RETRY)
                .build());
        framework.start();
        if (!framework.blockUntilConnected(Await.SECONDS_MAX, TimeUnit.SECONDS)) {
            throw new AssertionError("Curator did not connect");
        }
        return framework;
    }

    /** The changes of a connection from now on. Word of the first connection may still be under way. */
    static BlockingQueue<ConnectionState> statesOf(CuratorFramework framework) {
        BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        framework.getConnectionStateListenable().addListener((c, state) -> {
            if (state != ConnectionState.CONNECTED) {
                states.add(state);
            }
        });
        return states;
    }

    <T> Future<T> inThread(Callable<T> work) {
        return threads.submit(work);
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(Await.SECONDS_MAX, TimeUnit.SECONDS);
    }

    static <T> T take(BlockingQueue<T> queue) throws Exception {
        T item = queue.poll(Await.SECONDS_MAX, TimeUnit.SECONDS);
        if (item == null) {
            throw new AssertionError("nothing came");
        }
        return item;
    }

    static boolean exists(CuratorFramework client, String path) throws Exception {
        return client.checkExists().forPath(path) != null;
    }
}
