// Prints what the original server makes of records and text, one fact a line; run.sh says where to.
//
//   Golden records   "record NAME VARIANT HEX" for every record of the jar, and "opcode|error|event|state NAME NUMBER"
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

public class Golden {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "records" -> {
                records();
                codes();
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
                .filter(name -> name.matches("org/apache/zookeeper/(data|proto|txn)/\\w+\\.class"))
                .forEach(name -> names.add(name.replace('/', '.').replace(".class", "")));
        }
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
