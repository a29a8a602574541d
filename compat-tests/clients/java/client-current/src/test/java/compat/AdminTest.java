package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.zookeeper.AsyncCallback.DataCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Quotas;
import org.apache.zookeeper.StatsTrack;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.cli.DelQuotaCommand;
import org.apache.zookeeper.cli.ListQuotaCommand;
import org.apache.zookeeper.cli.SetQuotaCommand;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;

/** What an operator's tools ask for: configuration and quotas. */
class AdminTest extends ClientTest {
    private ZooKeeperAdmin admin(Server server) throws Exception {
        Events events = new Events();
        ZooKeeperAdmin admin = new ZooKeeperAdmin(server.address(), Session.LONG_MS, events);
        events.awaitState(KeeperState.SyncConnected);
        return admin;
    }

    @Test
    void theConfigurationOfAStandaloneServerIsEmpty() throws Exception {
        Stat stat = new Stat();
        assertArrayEquals(EMPTY, zk.getConfig(false, stat));
        assertEquals(0, stat.getVersion());
        assertEquals(-1, stat.getAversion());
        CompletableFuture<byte[]> answer = new CompletableFuture<>();
        zk.getConfig(new Events(), (DataCallback) (code, path, context, data, s) -> answer.complete(data), null);
        assertArrayEquals(EMPTY, get(answer));
        assertThrows(KeeperException.NoAuthException.class,
                () -> zk.setData("/zookeeper/config", EMPTY, -1));
    }

    @Test
    void reconfigurationIsOffByDefault() throws Exception {
        try (ZooKeeperAdmin admin = admin(Server.shared())) {
            assertThrows(KeeperException.ReconfigDisabledException.class,
                    () -> admin.reconfigure((String) null, "2", null, -1, new Stat()));
            assertTrue(admin.getState().isConnected());
        }
    }

    @Test
    void aStandaloneServerCannotBeReconfigured() throws Exception {
        try (Server server = Server.with().set("reconfigEnabled", "true").start();
                ZooKeeperAdmin admin = admin(server)) {
            admin.addAuthInfo("digest", Server.SUPER_USER.getBytes());
            assertThrows(KeeperException.UnimplementedException.class, () -> admin.reconfigure(
                    "server.2=127.0.0.1:2888:3888;2181", null, null, -1, new Stat()));
            assertTrue(admin.getState().isConnected());
        }
    }

    private StatsTrack limits(long count, long bytes, long countHard, long bytesHard) {
        StatsTrack track = new StatsTrack();
        track.setCount(count);
        track.setBytes(bytes);
        track.setCountHardLimit(countHard);
        track.setByteHardLimit(bytesHard);
        return track;
    }

    private StatsTrack usage() throws Exception {
        return new StatsTrack(zk.getData(Quotas.statPath(root), false, null));
    }

    @Test
    void usageFollowsTheTree() throws Exception {
        zk.setData(root, "1234".getBytes(), -1);
        create("/before");
        assertTrue(SetQuotaCommand.createQuota(zk, root, limits(5, -1, -1, -1)));
        assertEquals(2, usage().getCount());
        assertEquals(4, usage().getBytes());
        zk.create(root + "/a", "12345".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        zk.create(root + "/a/b", "1".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        zk.setData(root + "/a", "12".getBytes(), -1);
        assertEquals(4, usage().getCount());
        assertEquals(7, usage().getBytes());
        zk.delete(root + "/a/b", -1);
        zk.delete(root + "/a", -1);
        assertEquals(2, usage().getCount());
        assertEquals(4, usage().getBytes());
        List<StatsTrack> listed = ListQuotaCommand.listQuota(zk, root);
        assertEquals(5, listed.get(0).getCount());
        assertEquals(2, listed.get(1).getCount());
        // A soft limit only warns.
        for (int i = 0; i < 6; i++) {
            create("/over" + i);
        }
        assertEquals(8, usage().getCount());
        assertTrue(DelQuotaCommand.delQuota(zk, root, null));
        assertNull(stat(zk, Quotas.statPath(root)));
    }

    @Test
    void hardLimitsAreEnforced() throws Exception {
        SetQuotaCommand.createQuota(zk, root, limits(-1, -1, 3, 10));
        create("/a");
        create("/b");
        assertThrows(KeeperException.QuotaExceededException.class, () -> create("/c"));
        zk.setData(root + "/a", new byte[10], -1);
        assertThrows(KeeperException.QuotaExceededException.class, () -> zk.setData(root + "/b", new byte[1], -1));
        // The quota comes before the version.
        assertThrows(KeeperException.QuotaExceededException.class, () -> zk.setData(root + "/b", new byte[1], 9));
        assertThrows(KeeperException.QuotaExceededException.class,
                () -> zk.transaction().create(root + "/d", EMPTY, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT).commit());
        zk.delete(root + "/b", -1);
        create("/c");
        zk.setData(root + "/a", new byte[9], -1);
        zk.setData(root + "/c", new byte[1], -1);
    }
}
