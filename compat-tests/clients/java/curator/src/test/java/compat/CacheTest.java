package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Collectors;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCacheEvent;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.cache.TreeCacheEvent;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Local copies that follow the server, the current kind and the three older ones. */
@SuppressWarnings("deprecation")
class CacheTest extends CuratorTest {
    private final BlockingQueue<String> events = new LinkedBlockingQueue<>();

    @BeforeEach
    void somethingToCopy() throws Exception {
        client.create().creatingParentsIfNeeded().forPath("/root/a", "1".getBytes());
        client.create().forPath("/root/a/deep", "2".getBytes());
    }

    private static String name(ChildData data) {
        return data.getPath() + "=" + new String(data.getData());
    }

    private CuratorCache curatorCache(CuratorFramework framework) {
        CuratorCache cache = closing(CuratorCache.build(framework, "/root"));
        cache.listenable().addListener(CuratorCacheListener.builder()
                .forCreates(node -> events.add("created " + node.getPath()))
                .forChanges((old, node) -> events.add("changed " + name(node)))
                .forDeletes(node -> events.add("deleted " + node.getPath()))
                .forInitialized(() -> events.add("initialized"))
                .build());
        cache.start();
        return cache;
    }

    private void awaitInitialized() throws Exception {
        while (!take(events).equals("initialized")) {
            // What was there before.
        }
    }

    @Test
    void curatorCache() throws Exception {
        CuratorCache cache = curatorCache(client);
        awaitInitialized();
        assertEquals(Set.of("/root", "/root/a", "/root/a/deep"),
                cache.stream().map(ChildData::getPath).collect(Collectors.toSet()));
        other.setData().forPath("/root/a", "new".getBytes());
        assertEquals("changed /root/a=new", take(events));
        other.create().forPath("/root/a/more", "x".getBytes());
        assertEquals("created /root/a/more", take(events));
        other.delete().forPath("/root/a/deep");
        assertEquals("deleted /root/a/deep", take(events));
        assertArrayEquals("new".getBytes(), cache.get("/root/a").orElseThrow().getData());
        assertTrue(cache.get("/root/a/deep").isEmpty());
    }

    @Test
    void curatorCacheCatchesUpAfterALostConnection() throws Exception {
        Proxy proxy = closing(new Proxy(server()));
        CuratorFramework shaky = connect(proxy.address(), Session.LONG_MS);
        CuratorCache cache = curatorCache(shaky);
        awaitInitialized();
        proxy.cut();
        other.setData().forPath("/root/a", "missed".getBytes());
        other.create().forPath("/root/missed", new byte[0]);
        other.delete().forPath("/root/a/deep");
        proxy.restore();
        assertEquals(Set.of("changed /root/a=missed", "created /root/missed", "deleted /root/a/deep"),
                Set.of(take(events), take(events), take(events)));
        assertTrue(cache.get("/root/missed").isPresent());
    }

    @Test
    void pathChildrenCache() throws Exception {
        PathChildrenCache cache = closing(new PathChildrenCache(client, "/root", true));
        cache.getListenable().addListener((framework, event) -> {
            if (event.getData() != null) {
                events.add(event.getType() + " " + name(event.getData()));
            }
        });
        cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        assertEquals("/root/a=1", name(cache.getCurrentData().get(0)));
        other.create().forPath("/root/b", "2".getBytes());
        assertEquals(PathChildrenCacheEvent.Type.CHILD_ADDED + " /root/b=2", take(events));
        other.setData().forPath("/root/b", "3".getBytes());
        assertEquals(PathChildrenCacheEvent.Type.CHILD_UPDATED + " /root/b=3", take(events));
        other.delete().forPath("/root/b");
        assertEquals(PathChildrenCacheEvent.Type.CHILD_REMOVED + " /root/b=3", take(events));
        assertEquals(1, cache.getCurrentData().size());
    }

    @Test
    void treeCache() throws Exception {
        TreeCache cache = closing(new TreeCache(client, "/root"));
        cache.getListenable().addListener((framework, event) -> {
            if (event.getType() == TreeCacheEvent.Type.INITIALIZED) {
                events.add("initialized");
            } else if (event.getData() != null) {
                events.add(event.getType() + " " + name(event.getData()));
            }
        });
        cache.start();
        awaitInitialized();
        assertEquals(Set.of("deep"), cache.getCurrentChildren("/root/a").keySet());
        other.setData().forPath("/root/a/deep", "new".getBytes());
        assertEquals("NODE_UPDATED /root/a/deep=new", take(events));
        other.create().forPath("/root/a/deep/er", "x".getBytes());
        assertEquals("NODE_ADDED /root/a/deep/er=x", take(events));
        other.delete().deletingChildrenIfNeeded().forPath("/root/a");
        Set<String> removed = Set.of(take(events), take(events), take(events));
        assertEquals(Set.of("NODE_REMOVED /root/a/deep/er=x", "NODE_REMOVED /root/a/deep=new",
                "NODE_REMOVED /root/a=1"), removed);
    }

    @Test
    void nodeCache() throws Exception {
        NodeCache cache = closing(new NodeCache(client, "/root/a"));
        cache.getListenable().addListener(() -> events.add(
                cache.getCurrentData() == null ? "gone" : name(cache.getCurrentData())));
        cache.start(true);
        assertEquals("/root/a=1", name(cache.getCurrentData()));
        other.setData().forPath("/root/a", "new".getBytes());
        assertEquals("/root/a=new", take(events));
        other.delete().deletingChildrenIfNeeded().forPath("/root/a");
        assertEquals("gone", take(events));
        assertNull(cache.getCurrentData());
        other.create().forPath("/root/a", "again".getBytes());
        assertEquals("/root/a=again", take(events));
    }
}
