// Prints what the original server makes of records and text, one fact a line; run.sh says where to.
//
//   Golden records   "record NAME VARIANT HEX" for every record of the jar, "opcode|error|event|state NAME NUMBER",
//                    "membership INPUT OUTPUT", "greeting VERSION ID HEX" and "notification NAME HEX"
//   Golden text      "encode UTF16 BYTES" and "decode BYTES UTF16", all in hex
//
// The records are found in the jar and filled by reflection, so a release that adds a record or a field changes the
// output by itself. Three variants: `filled` has values that follow from the name of the field, so that two fields of
// one type cannot be swapped unseen; `empty` has zeros and things of length 0; `null` has null where Java allows it
// and the smallest numbers.

import java.io.ByteArrayOutputStream;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Method;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarFile;
import org.apache.jute.BinaryInputArchive;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.Record;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.server.quorum.FastLeaderElection;
import org.apache.zookeeper.server.quorum.MultipleAddresses;
import org.apache.zookeeper.server.quorum.QuorumCnxManager;
import org.apache.zookeeper.server.quorum.QuorumPeer;
import org.apache.zookeeper.server.quorum.auth.NullQuorumAuthLearner;
import org.apache.zookeeper.server.quorum.auth.NullQuorumAuthServer;
import org.apache.zookeeper.server.quorum.flexible.QuorumHierarchical;
import org.apache.zookeeper.server.quorum.flexible.QuorumMaj;

public class Golden {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "records" -> {
                records();
                codes();
                memberships();
                election();
            }
            case "text" -> text();
            default -> throw new IllegalArgumentException(args[0]);
        }
    }

    private static void records() throws Exception {
        TreeSet<String> names = new TreeSet<>();
        String jar = Paths.get(Record.class.getProtectionDomain().getCodeSource().getLocation().toURI()).toString();
        try (JarFile file = new JarFile(jar)) {
            file.stream()
                .map(entry -> entry.getName())
                .filter(name -> name.matches("org/apache/zookeeper/(data|proto|txn|server/quorum)/\\w+\\.class"))
                .forEach(name -> names.add(name.replace('/', '.').replace(".class", "")));
        }
        // What makes up a quorum server is there too; only these three are records.
        names.removeIf(name -> name.contains(".quorum.") && !name.matches(".*\\.(QuorumPacket|LearnerInfo|QuorumAuthPacket)"));
        names.add("org.apache.zookeeper.DeleteContainerRequest");
        for (String name : names) {
            Class<?> type = Class.forName(name);
            for (String variant : List.of("filled", "empty", "null")) {
                // This one turns its string into bytes by hand and has no null.
                if (type.getSimpleName().equals("DeleteContainerRequest") && variant.equals("null")) {
                    continue;
                }
                Record record = (Record) value(type, type.getSimpleName(), "", variant);
                System.out.println("record " + type.getSimpleName() + " " + variant + " " + hex(record));
            }
        }
    }

    private static String hex(Record record) throws Exception {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        record.serialize(BinaryOutputArchive.getArchive(bytes), "record");
        return HEX.formatHex(bytes.toByteArray());
    }

    // `index` tells elements of a vector apart; it is empty outside of vectors.
    private static Object value(java.lang.reflect.Type type, String name, String index, String variant) throws Exception {
        String key = name + index;
        boolean filled = variant.equals("filled");
        boolean isNull = variant.equals("null");
        if (type == int.class) {
            return filled ? key.hashCode() : isNull ? Integer.MIN_VALUE : 0;
        } else if (type == long.class) {
            return filled ? key.hashCode() * 4294967311L : isNull ? Long.MIN_VALUE : 0L;
        } else if (type == boolean.class) {
            return filled;
        } else if (type == String.class) {
            return filled ? key + "-\u00e9\u20ac" : isNull ? null : "";
        } else if (type == byte[].class) {
            return filled ? (key + "\0\u00ff").getBytes(StandardCharsets.ISO_8859_1) : isNull ? null : new byte[0];
        } else if (type instanceof ParameterizedType list && list.getRawType() == List.class) {
            List<Object> elements = new ArrayList<>();
            for (int i = 0; filled && i < 2; i++) {
                elements.add(value(list.getActualTypeArguments()[0], name, index + i, variant));
            }
            return isNull ? null : elements;
        }
        Object record = ((Class<?>) type).getDeclaredConstructor().newInstance();
        for (Field field : ((Class<?>) type).getDeclaredFields()) {
            if (!Modifier.isStatic(field.getModifiers())) {
                field.setAccessible(true);
                field.set(record, value(field.getGenericType(), field.getName(), index, variant));
            }
        }
        return record;
    }

    private static void codes() throws Exception {
        TreeMap<String, Integer> opcodes = new TreeMap<>();
        for (Field field : ZooDefs.OpCode.class.getFields()) {
            opcodes.put(field.getName(), field.getInt(null));
        }
        opcodes.forEach((name, number) -> System.out.println("opcode " + name + " " + number));
        for (KeeperException.Code code : KeeperException.Code.values()) {
            System.out.println("error " + code + " " + code.intValue());
        }
        for (Watcher.Event.EventType type : Watcher.Event.EventType.values()) {
            System.out.println("event " + type + " " + type.getIntValue());
        }
        for (Watcher.Event.KeeperState state : Watcher.Event.KeeperState.values()) {
            System.out.println("state " + state + " " + state.getIntValue());
        }
    }

    // Configurations as the original prints what it read; `|` is the end of a line.
    private static void memberships() throws Exception {
        StringBuilder many = new StringBuilder();
        for (int id : new int[] {40, 3, 18, 36, 16, 2, 300, 65540, 11, 70000, 9, 7, 30}) {
            many.append("server.").append(id).append("=h:1:2|");
        }
        String[] texts = {
            "server.1=zoo1:2888:3888",
            "server.2=b:1:2:observer;2181|server.1=a:1:2:PARTICIPANT;a:2181|version=100000000",
            "server.10=c:1:2|server.9=b:1:2|server.1=a:1:2|version=1f",
            "server.1=[::1]:2888:3888;[2001:db8::1]:2181|version=ffffffffff",
            "server.1=a:1:2|server.2=b:1:2|server.3=c:1:2|group.7=3:1|group.2=2|version=5",
            "server.1=a:1:2|server.20=b:1:2|server.3=c:1:2:observer|group.1=20:1|weight.20=3|weight.3=0",
            "server.-3=a:1:2|server.12884901888=b:1:2|server.9223372036854775806=c:1:2",
            many.toString(),
        };
        for (String text : texts) {
            java.util.Properties properties = new java.util.Properties();
            properties.load(new java.io.StringReader(text.replace('|', '\n')));
            boolean hierarchical = text.contains("group") || text.contains("weight");
            Object read = hierarchical ? new QuorumHierarchical(properties) : new QuorumMaj(properties);
            System.out.println("membership " + text + " " + read.toString().replace('\n', '|'));
        }
    }

    // What goes over the election port: "greeting V ID HEX" and "notification NAME HEX".
    private static void election() throws Exception {
        for (boolean multiple : new boolean[] {false, true}) {
            QuorumPeer peer = new QuorumPeer();
            peer.setMyid(0x0102030405060708L);
            peer.setMultiAddressEnabled(multiple);
            InetSocketAddress address = new InetSocketAddress("127.0.0.1", 3888);
            List<InetSocketAddress> addresses = multiple ? List.of(address, new InetSocketAddress("::1", 3889)) : List.of(address);
            MultipleAddresses election = new MultipleAddresses(addresses);
            Method setAddresses = QuorumPeer.class.getDeclaredMethod(
                "setAddrs", MultipleAddresses.class, MultipleAddresses.class, InetSocketAddress.class);
            setAddresses.setAccessible(true);
            setAddresses.invoke(peer, election, election, null);
            peer.setQuorumVerifier(new QuorumMaj(new java.util.Properties()), false);
            QuorumCnxManager manager = new QuorumCnxManager(
                peer, peer.getMyId(), java.util.Map.of(), new NullQuorumAuthServer(), new NullQuorumAuthLearner(), 5000, false, 20, false);
            Method start = QuorumCnxManager.class.getDeclaredMethod("startConnection", Socket.class, Long.class);
            start.setAccessible(true);
            try (ServerSocket listener = new ServerSocket(0, 1, java.net.InetAddress.getLoopbackAddress())) {
                Socket dialled = new Socket(listener.getInetAddress(), listener.getLocalPort());
                // A larger id than its own: it closes the connection behind its greeting.
                start.invoke(manager, dialled, Long.MAX_VALUE);
                try (Socket accepted = listener.accept()) {
                    String hex = HEX.formatHex(accepted.getInputStream().readAllBytes());
                    System.out.println("greeting " + (multiple ? "V2" : "V1") + " " + peer.getMyId() + " " + hex);
                }
            }
        }
        Class<?>[] plain = {int.class, long.class, long.class, long.class, long.class};
        Method old = FastLeaderElection.class.getDeclaredMethod("buildMsg", plain);
        old.setAccessible(true);
        notification("old", (ByteBuffer) old.invoke(null, 2, 3L, 0x200000005L, 9L, 4L));
        Class<?>[] withConfig = {int.class, long.class, long.class, long.class, long.class, byte[].class};
        Method current = FastLeaderElection.class.getDeclaredMethod("buildMsg", withConfig);
        current.setAccessible(true);
        byte[] config = "server.1=h:1:2:participant\nversion=0".getBytes(StandardCharsets.UTF_8);
        notification("current", (ByteBuffer) current.invoke(null, 1, 3L, 0x200000005L, 9L, 4L, config));
        notification("observer", (ByteBuffer) current.invoke(null, 0, Long.MIN_VALUE, Long.MIN_VALUE, 1L, Long.MIN_VALUE, new byte[0]));
    }

    private static void notification(String name, ByteBuffer message) {
        System.out.println("notification " + name + " " + HEX.formatHex(message.array()));
    }

    private static void text() throws Exception {
        Random random = new Random(1);
        char[] units = {'a', '/', 0, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xd83d, 0xde00, 0xdbff, 0xdfff, 0xe000, 0xfffd, 0xffff};
        for (int i = 0; i < 150; i++) {
            StringBuilder text = new StringBuilder();
            for (int n = random.nextInt(8); n > 0; n--) {
                char unit = units[random.nextInt(units.length)];
                // An unpaired surrogate is no text for a Rust program, so it cannot be its input either.
                if (Character.isSurrogate(unit)) {
                    text.append("\ud83d\ude00");
                } else {
                    text.append(unit);
                }
            }
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            BinaryOutputArchive.getArchive(bytes).writeString(text.toString(), "text");
            System.out.println("encode " + utf16(text.toString()) + " " + HEX.formatHex(bytes.toByteArray()));
        }
        int[] bytes = {0x41, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xf8, 0xff, 0};
        for (int i = 0; i < 1500; i++) {
            ByteArrayOutputStream in = new ByteArrayOutputStream();
            int length = 1 + random.nextInt(7);
            in.writeBytes(new byte[] {0, 0, 0, (byte) length});
            for (int n = 0; n < length; n++) {
                // Continuation bytes are what makes a sequence nearly right.
                in.write(random.nextInt(3) == 0 ? bytes[2 + random.nextInt(4)] : bytes[random.nextInt(bytes.length)]);
            }
            byte[] encoded = in.toByteArray();
            String text = BinaryInputArchive.getArchive(new java.io.ByteArrayInputStream(encoded)).readString("text");
            System.out.println("decode " + HEX.formatHex(encoded) + " " + utf16(text));
        }
    }

    private static String utf16(String text) {
        return HEX.formatHex(text.getBytes(StandardCharsets.UTF_16BE));
    }
}
