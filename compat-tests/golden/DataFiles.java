// Prints files as the original server writes them, for a few transactions of every kind; run.sh says where to.
//
//   log HEX          the transaction log, without the zeros behind its last entry; every entry with the tree's digest
//   snapshot HEX     the snapshot file after all of them
//   packet HEX       what a learner gets behind a SNAP packet for the same tree
//   node PATH DATA STAT   a node of the tree, path and data in hex (- is null), and its stat as a record

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.Record;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooDefs.OpCode;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.Request;
import org.apache.zookeeper.server.persistence.FileSnap;
import org.apache.zookeeper.server.persistence.FileTxnLog;
import org.apache.zookeeper.server.util.SerializeUtils;
import org.apache.zookeeper.txn.*;

public class DataFiles {
    private static final long EPOCH = 5L << 32;
    private static final long SESSION = 0x1000123456780000L;
    private static final List<ACL> OPEN = ZooDefs.Ids.OPEN_ACL_UNSAFE;
    private static final List<ACL> ANN = List.of(new ACL(31, new Id("digest", "ann:x")), new ACL(1, new Id("ip", "10.0.0.0/8")));

    private final DataTree tree = new DataTree();
    private final ConcurrentHashMap<Long, Integer> sessions = new ConcurrentHashMap<>();
    private final FileTxnLog log;
    private long zxid = EPOCH;

    DataFiles(File dir) {
        log = new FileTxnLog(dir);
    }

    private void add(int type, Record txn) throws Exception {
        add(SESSION, type, txn);
    }

    private void add(long session, int type, Record txn) throws Exception {
        zxid++;
        TxnHeader header = new TxnHeader(session, (int) zxid & 0xff, zxid, 1_700_000_000_000L + (zxid & 0xff), type);
        if (type == OpCode.createSession) {
            sessions.put(session, ((CreateSessionTxn) txn).getTimeOut());
        } else if (type == OpCode.closeSession) {
            sessions.remove(session);
        }
        tree.processTxn(header, txn);
        TxnDigest digest = new TxnDigest(2, tree.getTreeDigest());
        log.append(new Request(header, txn, digest));
    }

    private static Txn part(int type, Record record) throws Exception {
        return new Txn(type, bytes(record));
    }

    private static byte[] bytes(Record record) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        record.serialize(BinaryOutputArchive.getArchive(out), "record");
        return out.toByteArray();
    }

    private void play() throws Exception {
        long other = SESSION + 1;
        add(OpCode.createSession, new CreateSessionTxn(30_000));
        add(other, OpCode.createSession, new CreateSessionTxn(4_000));
        add(OpCode.create, new CreateTxn("/a", "x".getBytes(), OPEN, false, 1));
        add(OpCode.create2, new CreateTxn("/a/b", null, ANN, false, 1));
        add(OpCode.create, new CreateTxn("/a/\u00e9", new byte[0], OPEN, true, 2));
        add(other, OpCode.create, new CreateTxn("/a/gone", new byte[300], OPEN, true, 3));
        add(OpCode.createContainer, new CreateContainerTxn("/box", "c".getBytes(), OPEN, 2));
        add(OpCode.createTTL, new CreateTTLTxn("/ttl", "t".getBytes(), OPEN, 3, 77_000));
        add(OpCode.setData, new SetDataTxn("/a", "new".getBytes(), 1));
        add(OpCode.setData, new SetDataTxn("/", "root".getBytes(), 1));
        add(OpCode.setACL, new SetACLTxn("/a", ANN, 1));
        add(OpCode.error, new ErrorTxn(-101));
        add(OpCode.multi, new MultiTxn(List.of(
            part(OpCode.create, new CreateTxn("/m", "1".getBytes(), OPEN, false, 4)),
            part(OpCode.check, new CheckVersionTxn("/m", 0)),
            part(OpCode.setData, new SetDataTxn("/m", "2".getBytes(), 1)),
            part(OpCode.delete, new DeleteTxn("/ttl")))));
        add(OpCode.multi, new MultiTxn(List.of(
            part(OpCode.error, new ErrorTxn(0)), part(OpCode.error, new ErrorTxn(-110)), part(OpCode.error, new ErrorTxn(-2)))));
        add(OpCode.createTTL, new CreateTTLTxn("/ttl2", "t".getBytes(), OPEN, 5, 1));
        add(OpCode.create, new CreateTxn("/zookeeper/quota/a", new byte[0], OPEN, false, 1));
        add(OpCode.create, new CreateTxn("/zookeeper/quota/a/zookeeper_limits", "count=9,bytes=-1".getBytes(), OPEN, false, 1));
        add(OpCode.create, new CreateTxn("/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0".getBytes(), OPEN, false, 2));
        add(OpCode.create, new CreateTxn("/a/counted", "1234".getBytes(), OPEN, false, 4));
        add(other, OpCode.closeSession, new CloseSessionTxn(List.of("/a/gone")));
        add(OpCode.create, new CreateTxn("/a/b/deep", "d".getBytes(), OPEN, false, 1));
        add(OpCode.delete, new DeleteTxn("/a/b/deep"));
        add(0, OpCode.deleteContainer, new DeleteTxn("/box"));
    }

    private void print(File dir) throws Exception {
        log.commit();
        log.close();
        line("log", trimmed(Files.readAllBytes(Path.of(dir.getPath(), "log." + Long.toHexString(EPOCH + 1)))));
        File file = new File(dir, "snapshot." + Long.toHexString(zxid));
        new FileSnap(dir).serialize(tree, sessions, file, false);
        line("snapshot", Files.readAllBytes(file.toPath()));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        BinaryOutputArchive archive = BinaryOutputArchive.getArchive(out);
        SerializeUtils.serializeSnapshot(tree, archive, sessions);
        archive.writeString("BenWasHere", "signature");
        line("packet", out.toByteArray());
        nodes("/");
    }

    private void nodes(String path) throws Exception {
        Stat stat = new Stat();
        byte[] data = tree.getData(path, stat, null);
        System.out.println("node " + HexFormat.of().formatHex(path.getBytes("UTF-8")) + " " + (data == null ? "-" : HexFormat.of().formatHex(data)) + " "
            + HexFormat.of().formatHex(bytes(stat)));
        for (String child : new TreeSet<>(tree.getChildren(path, null, null))) {
            nodes((path.equals("/") ? "" : path) + "/" + child);
        }
    }

    private static byte[] trimmed(byte[] bytes) {
        int end = bytes.length;
        while (end > 0 && bytes[end - 1] == 0) {
            end--;
        }
        return Arrays.copyOf(bytes, end);
    }

    private static void line(String kind, byte[] bytes) {
        System.out.println(kind + " " + HexFormat.of().formatHex(bytes));
    }

    public static void main(String[] args) throws Exception {
        System.setProperty("zookeeper.extendedTypesEnabled", "true");
        Path dir = Files.createTempDirectory("golden-files");
        DataFiles files = new DataFiles(dir.toFile());
        files.play();
        files.print(dir.toFile());
        try (var all = Files.walk(dir)) {
            for (Path path : all.sorted(java.util.Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
