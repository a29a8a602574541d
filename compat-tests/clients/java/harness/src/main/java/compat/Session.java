package compat;

import java.io.IOException;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;

/** A connected handle of the official client and the events of its session. */
public final class Session implements AutoCloseable {
    /** Long enough that only a test that wants an expiry sees one. */
    public static final int LONG_MS = 60_000;
    /** For the sessions that a test lets expire. */
    public static final int SHORT_MS = 2_000;

    private static final AtomicInteger COUNTER = new AtomicInteger();

    public final ZooKeeper zk;
    public final Events events;

    private Session(ZooKeeper zk, Events events) {
        this.zk = zk;
        this.events = events;
    }

    public static Session open(String address) throws IOException, InterruptedException {
        return open(address, LONG_MS);
    }

    public static Session open(String address, int timeoutMs) throws IOException, InterruptedException {
        Events events = new Events();
        Session session = new Session(new ZooKeeper(address, timeoutMs, events), events);
        events.awaitState(KeeperState.SyncConnected);
        return session;
    }

    /** Takes over the session with this id; waits for the given outcome. */
    public static Session resume(String address, int timeoutMs, long id, byte[] password, KeeperState outcome)
            throws IOException, InterruptedException {
        Events events = new Events();
        Session session = new Session(new ZooKeeper(address, timeoutMs, events, id, password), events);
        events.awaitState(outcome);
        return session;
    }

    /** A node of its own for one test. */
    public static String freshPath(ZooKeeper zk) throws KeeperException, InterruptedException {
        String path = "/t-" + ProcessHandle.current().pid() + "-" + COUNTER.incrementAndGet();
        return zk.create(path, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    @Override
    public void close() throws InterruptedException {
        zk.close();
    }
}
