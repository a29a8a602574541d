package compat;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** A session on the shared server and a node of its own for every test. */
abstract class ClientTest {
    static final byte[] EMPTY = new byte[0];

    Session session;
    ZooKeeper zk;
    String root;

    @BeforeEach
    void openSession() throws Exception {
        session = open();
        zk = session.zk;
        root = Session.freshPath(zk);
    }

    @AfterEach
    void closeSession() throws Exception {
        session.close();
    }

    static Session open() throws Exception {
        return Session.open(Server.shared().address());
    }

    /** Creates a node below the test's own. */
    String create(String name, CreateMode mode) throws Exception {
        return create(zk, root + name, mode);
    }

    String create(String name) throws Exception {
        return create(name, CreateMode.PERSISTENT);
    }

    static String create(ZooKeeper zk, String path, CreateMode mode) throws Exception {
        return zk.create(path, EMPTY, Ids.OPEN_ACL_UNSAFE, mode);
    }

    static Stat stat(ZooKeeper zk, String path) throws Exception {
        return zk.exists(path, false);
    }

    static <T> T get(CompletableFuture<T> answer) throws Exception {
        return answer.get(Await.SECONDS_MAX, TimeUnit.SECONDS);
    }
}
