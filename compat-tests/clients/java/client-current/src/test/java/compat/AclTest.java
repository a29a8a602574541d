package compat;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import org.apache.zookeeper.AsyncCallback.ACLCallback;
import org.apache.zookeeper.AsyncCallback.StatCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Who may do what, and who the server thinks one is. */
class AclTest extends ClientTest {
    private static final String ANN = "ann:xQJmxLMiHGwaqBvst5y6rkB6HQs=";

    private static ACL acl(int perms, String scheme, String id) {
        return new ACL(perms, new Id(scheme, id));
    }

    // The client asks a list whether it contains null, which those of List.of take amiss.
    private static List<ACL> only(ACL acl) {
        return Collections.singletonList(acl);
    }

    private static void refused(Executable call) {
        assertThrows(KeeperException.NoAuthException.class, call);
    }

    private static Set<String> identities(ZooKeeper zk) throws Exception {
        return zk.whoAmI().stream().map(info -> info.getAuthScheme() + "=" + info.getUser())
                .collect(Collectors.toCollection(HashSet::new));
    }

    private void superUser(ZooKeeper zk) {
        zk.addAuthInfo("digest", Server.SUPER_USER.getBytes());
    }

    @Test
    void whoAmI() throws Exception {
        assertEquals(Set.of("ip=127.0.0.1"), identities(zk));
        zk.addAuthInfo("digest", "ann:secret".getBytes());
        zk.addAuthInfo("digest", "bob:secret".getBytes());
        assertEquals(Set.of("ip=127.0.0.1", "digest=ann", "digest=bob"), identities(zk));
        superUser(zk);
        assertEquals(Set.of("ip=127.0.0.1", "digest=ann", "digest=bob", "digest=super", "super="), identities(zk));
    }

    @Test
    void eachPermissionGuardsItsCalls() throws Exception {
        String path = create("/n");
        create("/n/child");
        for (int perm : new int[] {Perms.READ, Perms.WRITE, Perms.CREATE, Perms.DELETE, Perms.ADMIN}) {
            try (Session admin = open()) {
                superUser(admin.zk);
                admin.zk.setACL(path, only(acl(perm, "world", "anyone")), -1);
            }
            check(perm == Perms.READ, () -> zk.getData(path, false, null));
            check(perm == Perms.READ, () -> zk.exists(path, false));
            check(perm == Perms.READ, () -> zk.getChildren(path, false));
            check(perm == Perms.READ, () -> zk.getChildren(path, false, new Stat()));
            check(perm == Perms.READ, () -> zk.getAllChildrenNumber(path));
            check(perm == Perms.READ || perm == Perms.ADMIN, () -> zk.getACL(path, null));
            check(perm == Perms.WRITE, () -> zk.setData(path, EMPTY, -1));
            check(perm == Perms.CREATE, () -> create("/n/new"));
            check(perm == Perms.DELETE, () -> zk.delete(path + "/child", -1));
            check(perm == Perms.ADMIN, () -> zk.setACL(path, only(acl(perm, "world", "anyone")), -1));
        }
        // What is below has its own list.
        assertEquals(Ids.OPEN_ACL_UNSAFE, zk.getACL(path + "/new", null));
    }

    private static void check(boolean allowed, Executable call) throws Exception {
        if (allowed) {
            try {
                call.execute();
            } catch (Throwable e) {
                throw new AssertionError("should be allowed", e);
            }
        } else {
            refused(call);
        }
    }

    @Test
    void digestById() throws Exception {
        String path = zk.create(root + "/n", EMPTY, only(acl(Perms.ALL, "digest", digestId())), CreateMode.PERSISTENT);
        refused(() -> zk.getData(path, false, null));
        zk.addAuthInfo("digest", "ann:wrong".getBytes());
        refused(() -> zk.getData(path, false, null));
        zk.addAuthInfo("digest", "ann:secret".getBytes());
        assertArrayEquals(EMPTY, zk.getData(path, false, null));
        assertEquals(only(acl(Perms.ALL, "digest", digestId())), zk.getACL(path, null));
    }

    private static String digestId() throws Exception {
        return org.apache.zookeeper.server.auth.DigestAuthenticationProvider.generateDigest("ann:secret");
    }

    @Test
    void authStandsForTheCallersIdentities() throws Exception {
        zk.addAuthInfo("digest", "ann:secret".getBytes());
        String path = zk.create(root + "/n", EMPTY, only(acl(Perms.ALL, "auth", "")), CreateMode.PERSISTENT);
        assertEquals(only(acl(Perms.ALL, "digest", digestId())), zk.getACL(path, null));
        try (Session other = open()) {
            refused(() -> other.zk.setData(path, EMPTY, -1));
            superUser(other.zk);
            other.zk.setData(path, EMPTY, -1);
        }
    }

    @Test
    void readersSeeNoHashes() throws Exception {
        List<ACL> list = Arrays.asList(acl(Perms.ALL, "digest", ANN), acl(Perms.READ, "world", "anyone"));
        String path = zk.create(root + "/n", EMPTY, list, CreateMode.PERSISTENT);
        assertEquals(List.of(acl(Perms.ALL, "digest", "ann:x"), acl(Perms.READ, "world", "anyone")),
                zk.getACL(path, null));
        superUser(zk);
        assertEquals(list, zk.getACL(path, null));
    }

    @Test
    void addresses() throws Exception {
        String here = zk.create(root + "/here", EMPTY, only(acl(Perms.READ, "ip", "127.0.0.0/8")), CreateMode.PERSISTENT);
        String there = zk.create(root + "/there", EMPTY, only(acl(Perms.READ, "ip", "10.0.0.1")), CreateMode.PERSISTENT);
        assertArrayEquals(EMPTY, zk.getData(here, false, null));
        refused(() -> zk.getData(there, false, null));
        for (String bad : List.of("300.1.1.1", "127.0.0.1/33", "somewhere")) {
            assertThrows(KeeperException.InvalidACLException.class, () -> zk.create(root + "/bad", EMPTY,
                    only(acl(Perms.READ, "ip", bad)), CreateMode.PERSISTENT));
        }
    }

    @Test
    void setAclCountsItsOwnVersion() throws Exception {
        String path = create("/n");
        Stat before = stat(zk, path);
        List<ACL> readOnly = only(acl(Perms.READ | Perms.ADMIN, "world", "anyone"));
        Stat after = zk.setACL(path, readOnly, 0);
        assertEquals(1, after.getAversion());
        assertEquals(before.getMzxid(), after.getMzxid());
        assertEquals(0, after.getVersion());
        Stat read = new Stat();
        assertEquals(readOnly, zk.getACL(path, read));
        assertEquals(after, read);
        assertThrows(KeeperException.BadVersionException.class, () -> zk.setACL(path, readOnly, 0));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.setACL(root + "/no", readOnly, -1));
        assertThrows(KeeperException.NoNodeException.class, () -> zk.getACL(root + "/no", null));

        CompletableFuture<Stat> set = new CompletableFuture<>();
        zk.setACL(path, readOnly, 1, (StatCallback) (code, p, context, stat) -> set.complete(stat), null);
        assertEquals(2, get(set).getAversion());
        CompletableFuture<List<ACL>> list = new CompletableFuture<>();
        zk.getACL(path, new Stat(), (ACLCallback) (code, p, context, acls, stat) -> list.complete(acls), null);
        assertEquals(readOnly, get(list));
    }

    @Test
    void anUnknownSchemeEndsTheSession() throws Exception {
        Session other = open();
        other.zk.addAuthInfo("nonsense", EMPTY);
        other.events.awaitState(KeeperState.AuthFailed);
        assertThrows(KeeperException.AuthFailedException.class, () -> other.zk.exists("/", false));
        assertFalse(other.zk.getState().isAlive());
        other.close();
    }

    @Test
    void identitiesComeBackWithTheConnection() throws Exception {
        try (Proxy proxy = new Proxy(Server.shared()); Session own = Session.open(proxy.address())) {
            own.zk.addAuthInfo("digest", "ann:secret".getBytes());
            String path = own.zk.create(root + "/n", EMPTY, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            proxy.interrupt();
            own.events.awaitState(KeeperState.Disconnected);
            own.events.awaitState(KeeperState.SyncConnected);
            assertArrayEquals(EMPTY, own.zk.getData(path, false, null));
            assertEquals(Set.of("ip=127.0.0.1", "digest=ann"), identities(own.zk));
        }
    }

    @Test
    void eventsOfHiddenNodesAreHidden() throws Exception {
        try (Session owner = open()) {
            owner.zk.addAuthInfo("digest", "ann:secret".getBytes());
            Events events = new Events();
            zk.exists(root + "/secret", events);
            owner.zk.create(root + "/secret", EMPTY, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            zk.exists(root + "/open", events);
            create(owner.zk, root + "/open", CreateMode.PERSISTENT);
            events.expect(EventType.NodeCreated, root + "/open");
            events.expectNothing(zk);
        }
    }
}
