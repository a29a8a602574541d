package compat;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooKeeper;

/** A watcher that keeps what it is told: node events and states of the session apart, each in order. */
public final class Events implements Watcher {
    private final BlockingQueue<WatchedEvent> nodes = new LinkedBlockingQueue<>();
    private final BlockingQueue<Event.KeeperState> states = new LinkedBlockingQueue<>();

    @Override
    public void process(WatchedEvent event) {
        if (event.getType() == Event.EventType.None) {
            states.add(event.getState());
        } else {
            nodes.add(event);
        }
    }

    /** Takes the next node event and requires it to be this one. */
    public WatchedEvent expect(Event.EventType type, String path) throws InterruptedException {
        WatchedEvent event = nodes.poll(Await.SECONDS_MAX, TimeUnit.SECONDS);
        if (event == null) {
            throw new AssertionError("no event came, expected " + type + " " + path);
        }
        if (event.getType() != type || !path.equals(event.getPath())) {
            throw new AssertionError("expected " + type + " " + path + ", but " + event);
        }
        return event;
    }

    /** Takes node events up to the one of this path; what came before it must be of the given type. */
    public void expectAfter(Event.EventType skipped, Event.EventType type, String path) throws InterruptedException {
        while (true) {
            WatchedEvent event = nodes.poll(Await.SECONDS_MAX, TimeUnit.SECONDS);
            if (event != null && event.getType() == type && path.equals(event.getPath())) {
                return;
            }
            if (event == null || event.getType() != skipped) {
                throw new AssertionError("expected " + type + " " + path + ", but " + event);
            }
        }
    }

    /** Takes states until this one comes. */
    public void awaitState(Event.KeeperState wanted) throws InterruptedException {
        List<Event.KeeperState> seen = new ArrayList<>();
        while (true) {
            Event.KeeperState state = states.poll(Await.SECONDS_MAX, TimeUnit.SECONDS);
            if (state == null) {
                throw new AssertionError("the state " + wanted + " did not come, only " + seen);
            }
            if (state == wanted) {
                return;
            }
            seen.add(state);
        }
    }

    /** Whether this state came and has not been taken yet. */
    public boolean sawState(Event.KeeperState state) {
        return states.contains(state);
    }

    /**
     * Requires that no node event is left over. A round trip through the session's own event thread
     * comes first: whatever the server sent before its reply has been delivered then.
     */
    public void expectNothing(ZooKeeper session) throws InterruptedException {
        CountDownLatch answered = new CountDownLatch(1);
        session.sync("/", (code, path, context) -> answered.countDown(), null);
        if (!answered.await(Await.SECONDS_MAX, TimeUnit.SECONDS)) {
            throw new AssertionError("sync was not answered");
        }
        if (!nodes.isEmpty()) {
            throw new AssertionError("unexpected events: " + nodes);
        }
    }
}
