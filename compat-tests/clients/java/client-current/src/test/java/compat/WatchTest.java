package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.Watcher.WatcherType;
import org.junit.jupiter.api.Test;

/** One-shot, persistent and recursive watches: what they see, and how they are taken back. */
class WatchTest extends ClientTest {
    @Test
    void oneShotWatchesOfEveryKind() throws Exception {
        Events exists = new Events();
        Events data = new Events();
        Events children = new Events();
        String path = root + "/n";
        assertNull(zk.exists(path, exists));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.getData(path, data, null));
        create("/n");
        exists.expect(EventType.NodeCreated, path);
        data.expectNothing(zk);
        zk.exists(path, exists);
        zk.getData(path, data, null);
        zk.getChildren(path, children);
        create("/n/c");
        children.expect(EventType.NodeChildrenChanged, path);
        zk.setData(path, EMPTY, -1);
        exists.expect(EventType.NodeDataChanged, path);
        data.expect(EventType.NodeDataChanged, path);
        zk.delete(path + "/c", -1);
        for (Events events : List.of(exists, data, children)) {
            events.expectNothing(zk);
        }
        zk.exists(path, exists);
        zk.getData(path, data, null);
        zk.getChildren(path, children);
        zk.delete(path, -1);
        for (Events events : List.of(exists, data, children)) {
            events.expect(EventType.NodeDeleted, path);
            events.expectNothing(zk);
        }
    }

    @Test
    void anEventComesBeforeTheReplyAndNamesItsChange() throws Exception {
        create("/n");
        List<String> order = Collections.synchronizedList(new ArrayList<>());
        CompletableFuture<WatchedEvent> event = new CompletableFuture<>();
        CompletableFuture<Long> zxid = new CompletableFuture<>();
        zk.getData(root + "/n", e -> {
            order.add("event");
            event.complete(e);
        }, null);
        zk.setData(root + "/n", EMPTY, -1, (code, path, context, stat) -> {
            order.add("reply");
            zxid.complete(stat.getMzxid());
        }, null);
        assertEquals(get(zxid), get(event).getZxid());
        assertEquals(List.of("event", "reply"), order);
    }

    @Test
    void theDefaultWatcherHearsToo() throws Exception {
        zk.exists(root + "/n", true);
        create("/n");
        session.events.expect(EventType.NodeCreated, root + "/n");
        zk.getChildren(root, true);
        zk.getData(root + "/n", true, null);
        zk.setData(root + "/n", EMPTY, -1);
        session.events.expect(EventType.NodeDataChanged, root + "/n");
        create("/m");
        session.events.expect(EventType.NodeChildrenChanged, root);
    }

    @Test
    void aPersistentWatchStays() throws Exception {
        Events events = new Events();
        String path = root + "/n";
        zk.addWatch(path, events, AddWatchMode.PERSISTENT);
        for (int i = 0; i < 2; i++) {
            create("/n");
            events.expect(EventType.NodeCreated, path);
            zk.setData(path, EMPTY, -1);
            events.expect(EventType.NodeDataChanged, path);
            create("/n/c");
            events.expect(EventType.NodeChildrenChanged, path);
            zk.setData(path + "/c", EMPTY, -1);
            zk.delete(path + "/c", -1);
            events.expect(EventType.NodeChildrenChanged, path);
            zk.delete(path, -1);
            events.expect(EventType.NodeDeleted, path);
        }
        events.expectNothing(zk);
    }

    @Test
    void aRecursiveWatchSeesTheWholeTree() throws Exception {
        Events events = new Events();
        zk.addWatch(root, events, AddWatchMode.PERSISTENT_RECURSIVE);
        try (Session other = open()) {
            create(other.zk, root + "/a", CreateMode.PERSISTENT);
            create(other.zk, root + "/a/b", CreateMode.PERSISTENT);
            other.zk.setData(root + "/a/b", EMPTY, -1);
            create(other.zk, root + "/a/e", CreateMode.EPHEMERAL);
        }
        zk.delete(root + "/a/b", -1);
        zk.setData(root, EMPTY, -1);
        events.expect(EventType.NodeCreated, root + "/a");
        events.expect(EventType.NodeCreated, root + "/a/b");
        events.expect(EventType.NodeDataChanged, root + "/a/b");
        events.expect(EventType.NodeCreated, root + "/a/e");
        events.expect(EventType.NodeDeleted, root + "/a/e");
        events.expect(EventType.NodeDeleted, root + "/a/b");
        events.expect(EventType.NodeDataChanged, root);
        events.expectNothing(zk);
    }

    @Test
    void kindsOfWatchesLiveSideBySide() throws Exception {
        Events recursive = new Events();
        Events persistent = new Events();
        Events once = new Events();
        Events children = new Events();
        String path = create("/n");
        zk.addWatch(root, recursive, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.addWatch(path, persistent, AddWatchMode.PERSISTENT);
        zk.getData(path, once, null);
        zk.getChildren(path, children);
        create("/n/c");
        recursive.expect(EventType.NodeCreated, path + "/c");
        persistent.expect(EventType.NodeChildrenChanged, path);
        children.expect(EventType.NodeChildrenChanged, path);
        for (int i = 0; i < 2; i++) {
            zk.setData(path, EMPTY, -1);
            recursive.expect(EventType.NodeDataChanged, path);
            persistent.expect(EventType.NodeDataChanged, path);
        }
        once.expect(EventType.NodeDataChanged, path);
        for (Events events : List.of(recursive, persistent, once, children)) {
            events.expectNothing(zk);
        }
    }

    @Test
    void addWatchAsynchronously() throws Exception {
        Events events = new Events();
        CompletableFuture<Integer> answer = new CompletableFuture<>();
        zk.addWatch(root, events, AddWatchMode.PERSISTENT, (code, path, context) -> answer.complete(code), null);
        assertEquals(0, get(answer));
        CompletableFuture<Integer> byDefault = new CompletableFuture<>();
        zk.addWatch(root + "/later", AddWatchMode.PERSISTENT_RECURSIVE,
                (code, path, context) -> byDefault.complete(code), null);
        assertEquals(0, get(byDefault));
        create("/later");
        events.expect(EventType.NodeChildrenChanged, root);
        session.events.expect(EventType.NodeCreated, root + "/later");
    }

    @Test
    void removingOneOfTwoWatchersAsksTheServerFirst() throws Exception {
        // The client has another watcher on the path, so it only checks with the server.
        Events first = new Events();
        Events second = new Events();
        zk.getData(root, first, null);
        zk.getData(root, second, null);
        zk.removeWatches(root, first, WatcherType.Data, false);
        first.expect(EventType.DataWatchRemoved, root);
        zk.setData(root, EMPTY, -1);
        second.expect(EventType.NodeDataChanged, root);
        first.expectNothing(zk);
        assertThrows(KeeperException.NoWatcherException.class,
                () -> zk.removeWatches(root, first, WatcherType.Data, false));
    }

    @Test
    void everyTypeOfWatchIsRemoved() throws Exception {
        Events data = new Events();
        Events children = new Events();
        Events persistent = new Events();
        Events recursive = new Events();
        zk.exists(root, data);
        zk.getChildren(root, children);
        zk.addWatch(root, persistent, AddWatchMode.PERSISTENT);
        zk.addWatch(root, recursive, AddWatchMode.PERSISTENT_RECURSIVE);
        zk.removeWatches(root, data, WatcherType.Data, false);
        data.expect(EventType.DataWatchRemoved, root);
        zk.removeWatches(root, children, WatcherType.Children, false);
        children.expect(EventType.ChildWatchRemoved, root);
        zk.removeWatches(root, persistent, WatcherType.Persistent, false);
        persistent.expect(EventType.PersistentWatchRemoved, root);
        zk.setData(root, EMPTY, -1);
        recursive.expect(EventType.NodeDataChanged, root);
        zk.removeWatches(root, recursive, WatcherType.PersistentRecursive, false);
        recursive.expect(EventType.PersistentWatchRemoved, root);
        zk.setData(root, EMPTY, -1);
        create("/x");
        for (Events events : List.of(data, children, persistent, recursive)) {
            events.expectNothing(zk);
        }
    }

    @Test
    void allWatchesAreRemovedAtOnce() throws Exception {
        Events data = new Events();
        Events children = new Events();
        zk.getData(root, data, null);
        zk.getChildren(root, children);
        zk.removeAllWatches(root, WatcherType.Any, false);
        data.expect(EventType.DataWatchRemoved, root);
        children.expect(EventType.ChildWatchRemoved, root);
        zk.setData(root, EMPTY, -1);
        create("/x");
        data.expectNothing(zk);
        children.expectNothing(zk);
        CompletableFuture<Integer> answer = new CompletableFuture<>();
        zk.removeAllWatches(root, WatcherType.Any, false, (code, path, context) -> answer.complete(code), null);
        assertEquals(Code.NOWATCHER.intValue(), get(answer));
        zk.getData(root, data, null);
        CompletableFuture<Integer> one = new CompletableFuture<>();
        zk.removeWatches(root, data, WatcherType.Any, false, (code, path, context) -> one.complete(code), null);
        assertEquals(0, get(one));
    }

    @Test
    void missedChangesAreToldAfterReconnecting() throws Exception {
        try (Proxy proxy = new Proxy(Server.shared()); Session away = Session.open(proxy.address())) {
            create("/changed");
            create("/deleted");
            create("/parent");
            create("/still");
            Events changed = new Events();
            Events deleted = new Events();
            Events created = new Events();
            Events children = new Events();
            Events still = new Events();
            Events stillMissing = new Events();
            Events persistent = new Events();
            Events recursive = new Events();
            away.zk.getData(root + "/changed", changed, null);
            away.zk.exists(root + "/deleted", deleted);
            away.zk.exists(root + "/created", created);
            away.zk.getChildren(root + "/parent", children);
            away.zk.getData(root + "/still", still, null);
            away.zk.exists(root + "/missing", stillMissing);
            away.zk.addWatch(root + "/still", persistent, AddWatchMode.PERSISTENT);
            away.zk.addWatch(root + "/parent", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
            proxy.cut();
            away.events.awaitState(KeeperState.Disconnected);
            zk.setData(root + "/changed", EMPTY, -1);
            zk.delete(root + "/deleted", -1);
            create("/created");
            create("/parent/x");
            proxy.restore();
            away.events.awaitState(KeeperState.SyncConnected);
            changed.expect(EventType.NodeDataChanged, root + "/changed");
            deleted.expect(EventType.NodeDeleted, root + "/deleted");
            created.expect(EventType.NodeCreated, root + "/created");
            children.expect(EventType.NodeChildrenChanged, root + "/parent");
            still.expectNothing(away.zk);
            persistent.expectNothing(away.zk);
            recursive.expectNothing(away.zk);
            // What did not fire is still armed.
            zk.setData(root + "/still", EMPTY, -1);
            still.expect(EventType.NodeDataChanged, root + "/still");
            persistent.expect(EventType.NodeDataChanged, root + "/still");
            create("/missing");
            stillMissing.expect(EventType.NodeCreated, root + "/missing");
            create("/parent/y");
            recursive.expect(EventType.NodeCreated, root + "/parent/y");
            for (Events events : List.of(changed, deleted, created, children)) {
                events.expectNothing(away.zk);
            }
        }
    }

    @Test
    void moreWatchesThanOneFrameHoldsComeBack() throws Exception {
        // The client splits its list into several requests of about 128 KiB.
        try (Proxy proxy = new Proxy(Server.shared()); Session away = Session.open(proxy.address())) {
            Events events = new Events();
            String name = "/" + "n".repeat(200) + "-";
            int many = 2000;
            CompletableFuture<Integer> last = new CompletableFuture<>();
            for (int i = 0; i < many; i++) {
                int index = i;
                away.zk.exists(root + name + i, events, (code, path, context, stat) -> {
                    if (index == many - 1) {
                        last.complete(code);
                    }
                }, null);
            }
            assertEquals(Code.NONODE.intValue(), get(last));
            proxy.interrupt();
            away.events.awaitState(KeeperState.Disconnected);
            away.events.awaitState(KeeperState.SyncConnected);
            away.zk.sync("/");
            for (int i : new int[] {0, many / 2, many - 1}) {
                create(name + i);
                events.expect(EventType.NodeCreated, root + name + i);
            }
        }
    }
}
