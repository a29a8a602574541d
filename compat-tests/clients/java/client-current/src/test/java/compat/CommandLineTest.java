package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.Test;

/** The command line client of the Java distribution, as a process of its own. */
class CommandLineTest extends ClientTest {
    private String run(String script) throws Exception {
        Process process = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
                "-cp", System.getProperty("java.class.path"),
                "org.apache.zookeeper.ZooKeeperMain", "-waitforconnection", "-server", Server.shared().address())
                .redirectErrorStream(true)
                .start();
        CompletableFuture<String> output = CompletableFuture.supplyAsync(() -> {
            try {
                return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            } catch (java.io.IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
        try (OutputStream in = process.getOutputStream()) {
            in.write((script.replace("@", root) + "\nquit\n").getBytes(StandardCharsets.UTF_8));
        }
        try {
            return get(output);
        } finally {
            process.destroyForcibly();
        }
    }

    private void has(String output, String... wanted) {
        int from = 0;
        for (String text : wanted) {
            String expected = text.replace("@", root);
            int at = output.indexOf(expected, from);
            assertTrue(at >= 0, () -> "no '" + expected + "' (in this order) in:\n" + output);
            from = at + expected.length();
        }
    }

    @Test
    void aSessionOfAnOperator() throws Exception {
        String output = run("""
                create @/a hello
                create -s @/s- x
                create -e @/e x
                create -c @/c x
                create -t 100000 @/t x
                create @/a again
                get @/a
                get -s @/a
                set @/a world
                set -v 7 @/a x
                set -s @/a third
                stat @/a
                ls @
                ls -R @
                getAllChildrenNumber @
                getEphemerals @
                getAcl @/a
                setAcl @/a world:anyone:cdrwa
                addauth digest ann:secret
                setAcl @/c auth::cdrwa
                getAcl @/c
                whoami
                delete @/s-0000000001
                delete -v 9 @/a
                sync @
                version
                config
                deleteall @/t
                delete @/nothing""");
        has(output, "Created @/a", "Created @/s-0000000001", "Created @/e", "Created @/c", "Created @/t",
                "Node already exists: @/a", "hello", "hello", "dataVersion = 0", "version No is not valid : @/a",
                "dataVersion = 2", "dataLength = 5", "[a, c, e, s-0000000001, t]",
                "@/a", "@/c", "@/e", "@/s-0000000001", "@/t", "5", "[@/e]", "'world,'anyone", ": cdrwa",
                "'digest,'ann:", ": cdrwa", "Auth scheme: User", "digest: ann", "version No is not valid : @/a",
                "Sync is OK", "ZooKeeper CLI version: ", "Node does not exist: @/nothing");
        assertEquals(List.of("a", "c"), zk.getChildren(root, false).stream().sorted().toList());
    }

    @Test
    void quotasAndWatches() throws Exception {
        String output = run("""
                create @/q x
                setquota -N 1 @/q
                listquota @/q
                create @/q/a x
                create @/q/b x
                delquota @/q
                listquota @/q
                stat -w @/q
                set @/q changed
                sync @
                addWatch -m PERSISTENT_RECURSIVE @/q
                set @/q/a changed
                sync @
                removewatches @/q
                ls -w @/q
                create @/q/c x
                sync @
                deleteall @/q""");
        has(output, "Created @/q", "absolute path is /zookeeper/quota@/q/zookeeper_limits",
                "Output quota for @/q count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=1",
                "Output stat for @/q count=1,bytes=1", "Quota has exceeded : @/q/a", "quota for @/q does not exist.",
                "type:NodeDataChanged path:@/q");
        assertEquals(List.of(), zk.getChildren(root, false));
    }
}
