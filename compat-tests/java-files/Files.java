// A client for the suite: fills a server with nodes of every kind, or prints all that it holds.
//
//   Files fill HOST:PORT NAME   writes below /NAME; leaves an ephemeral node behind and does not close that session
//   Files dump HOST:PORT        a line for every node: path, data, ACL list, all of its stat

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

public class Files {
    private static ZooKeeper connect(String address, int timeout) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(address, timeout, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        connected.await();
        return zk;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void fill(ZooKeeper zk, String address, String root) throws Exception {
        List<ACL> open = Ids.OPEN_ACL_UNSAFE;
        zk.create(root, bytes("root"), open, CreateMode.PERSISTENT);
        for (int i = 0; i < 300; i++) {
            zk.create(root + "/n" + i, bytes("data " + i), open, CreateMode.PERSISTENT, new Stat());
            zk.setData(root + "/n" + i, new byte[i], -1);
            if (i % 3 == 0) {
                zk.delete(root + "/n" + i, 1);
            }
            zk.create(root + (i == 0 ? "/first-" : "/n1/seq-"), null, open, CreateMode.PERSISTENT_SEQUENTIAL);
            if (i == 1) {
                zk.create("/zookeeper/quota" + root, null, open, CreateMode.PERSISTENT);
                zk.create("/zookeeper/quota" + root + "/zookeeper_limits", bytes("count=100000,bytes=-1"), open, CreateMode.PERSISTENT);
                zk.create("/zookeeper/quota" + root + "/zookeeper_stats", bytes("count=0,bytes=0"), open, CreateMode.PERSISTENT);
            }
        }
        zk.create(root + "/container", bytes("c"), open, CreateMode.CONTAINER);
        zk.create(root + "/container/child", bytes("c"), open, CreateMode.PERSISTENT);
        zk.create(root + "/ttl", bytes("t"), open, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 3_600_000);
        zk.create(root + "/\u00e9\u4e2d", bytes("text"), Arrays.asList(new ACL(31, new Id("ip", "127.0.0.1")), new ACL(31, new Id("digest", "a:b"))), CreateMode.PERSISTENT);
        zk.setACL(root + "/n2", Arrays.asList(new ACL(31, new Id("world", "anyone")), new ACL(1, new Id("digest", "c:d"))), 0);
        zk.setData("/", bytes("of " + root), -1);
        zk.multi(List.of(
            Op.create(root + "/m", bytes("1"), open, CreateMode.PERSISTENT),
            Op.setData(root + "/m", bytes("2"), 0),
            Op.create(root + "/m/child", null, open, CreateMode.EPHEMERAL),
            Op.check(root + "/m", 1),
            Op.delete(root + "/n1/seq-0000000000", -1)));
        try {
            zk.multi(List.of(Op.delete(root + "/m/child", -1), Op.delete(root + "/m", 17)));
            throw new IllegalStateException("that must fail");
        } catch (KeeperException.BadVersionException expected) {
            // It costs a transaction that changes nothing.
        }
        try {
            zk.delete(root + "/nowhere", -1);
            throw new IllegalStateException("that must fail");
        } catch (KeeperException.NoNodeException expected) {
            // As above.
        }
        ZooKeeper brief = connect(address, 4000);
        for (int i = 0; i < 5; i++) {
            brief.create(root + "/brief" + i, null, open, CreateMode.EPHEMERAL);
        }
        brief.close();
        zk.create(root + "/ephemeral", bytes("e"), open, CreateMode.EPHEMERAL);
    }

    private static void dump(ZooKeeper zk, String path) throws Exception {
        Stat stat = new Stat();
        byte[] data = zk.getData(path, false, stat);
        // Comes and goes with who looks.
        System.out.println(path + " " + (data == null ? "null" : new String(data, StandardCharsets.ISO_8859_1).replace("\n", "\\n"))
            + " " + zk.getACL(path, null) + " " + stat.getCzxid() + " " + stat.getMzxid() + " " + stat.getPzxid() + " "
            + stat.getCtime() + " " + stat.getMtime() + " " + stat.getVersion() + " " + stat.getCversion() + " "
            + stat.getAversion() + " " + stat.getEphemeralOwner() + " " + stat.getDataLength() + " " + stat.getNumChildren());
        List<String> children = zk.getChildren(path, false);
        Collections.sort(children);
        for (String child : children) {
            dump(zk, (path.equals("/") ? "" : path) + "/" + child);
        }
    }

    public static void main(String[] args) throws Exception {
        ZooKeeper zk = connect(args[1], 60_000);
        if (args[0].equals("fill")) {
            fill(zk, args[1], "/" + args[2]);
        } else {
            dump(zk, "/");
            zk.close();
        }
        System.out.flush();
        // Not closed: the ephemeral node has to stay.
        Runtime.getRuntime().halt(0);
    }
}
