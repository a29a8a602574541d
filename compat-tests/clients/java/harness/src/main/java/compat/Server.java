package compat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A server process that the tests own: its directory, its port and its life.
 *
 * <p>System properties choose the kind: {@code compat.server} (ferrokeeper or java),
 * {@code compat.ferrokeeper} (the binary), {@code compat.classpath} (the Java server's class path)
 * and {@code compat.directory} (where the servers' directories go).
 */
public final class Server implements AutoCloseable {
    public static final String SUPER_USER = "super:test";
    private static final String SUPER_DIGEST = "super:D/InIHSb7yEEbrWz8b9l71RjZJU=";
    private static final int READY_SECONDS_MAX = 60;
    private static final AtomicInteger COUNTER = new AtomicInteger();

    private final Path directory;
    private final int port;
    private final List<String> flags;
    private Process process;

    private Server(Path directory, int port, List<String> flags) {
        this.directory = directory;
        this.port = port;
        this.flags = flags;
    }

    private static final class Shared {
        // Short ticks let a test choose a short session; long sessions stay possible, so that a slow
        // machine does not expire those that have nothing to do with expiry.
        static final Server SERVER = with()
                .flag("znode.container.checkIntervalMs", "200")
                .start();
    }

    /** The server of all tests of this process that leave it alone. */
    public static Server shared() {
        return Shared.SERVER;
    }

    public static boolean isJava() {
        return "java".equals(System.getProperty("compat.server", "ferrokeeper"));
    }

    public static Builder with() {
        return new Builder();
    }

    public static final class Builder {
        private final List<String> lines = new ArrayList<>(List.of(
                "tickTime=200",
                "minSessionTimeout=400",
                "maxSessionTimeout=60000",
                "clientPortAddress=127.0.0.1",
                "admin.enableServer=false",
                "maxClientCnxns=0",
                "4lw.commands.whitelist=*",
                "extendedTypesEnabled=true",
                "enforceQuota=true",
                "DigestAuthenticationProvider.superDigest=" + SUPER_DIGEST));
        private final List<String> flags = new ArrayList<>();

        /** Sets a key of zoo.cfg. */
        public Builder set(String key, String value) {
            lines.removeIf(line -> line.startsWith(key + "="));
            lines.add(key + "=" + value);
            return this;
        }

        /** Sets a property that zoo.cfg cannot. */
        public Builder flag(String key, String value) {
            flags.add("-D" + key + "=" + value);
            return this;
        }

        public Server start() {
            try {
                Path directory = Path.of(System.getProperty("compat.directory"),
                        ProcessHandle.current().pid() + "-" + COUNTER.incrementAndGet());
                Files.createDirectories(directory);
                int port = freePort();
                List<String> config = new ArrayList<>(lines);
                config.add("dataDir=" + directory.resolve("data"));
                config.add("clientPort=" + port);
                Files.write(directory.resolve("zoo.cfg"), config);
                Server server = new Server(directory, port, flags);
                Runtime.getRuntime().addShutdownHook(new Thread(server::kill));
                server.start();
                return server;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    public String address() {
        return "127.0.0.1:" + port;
    }

    /**
     * The same address four times, for clients that have to find the server again after a restart.
     * One attempt of the client may take its session timeout divided by the number of addresses, and a
     * Java server that is just starting can leave an attempt unanswered: with one address the session
     * is over when the client tries again.
     */
    public String addresses() {
        return String.join(",", address(), address(), address(), address());
    }

    public int port() {
        return port;
    }

    /** Starts the process on its directory, new or used, and returns once it serves. */
    public synchronized void start() {
        try {
            List<String> command = new ArrayList<>();
            String config = directory.resolve("zoo.cfg").toString();
            if (isJava()) {
                command.addAll(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
                        "-Dlogback.configurationFile=" + logbackConfig()));
                command.addAll(flags);
                command.addAll(List.of("-cp", System.getProperty("compat.classpath"),
                        "org.apache.zookeeper.server.quorum.QuorumPeerMain", config));
            } else {
                command.addAll(List.of(System.getProperty("compat.ferrokeeper"), "server", config));
            }
            ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.appendTo(log().toFile()));
            if (!isJava()) {
                builder.environment().put("JVMFLAGS", String.join(" ", flags));
            }
            process = builder.start();
            awaitReady();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Ends the process the polite way and waits for its end. */
    public synchronized void stop() {
        end(false);
    }

    /** Ends the process with SIGKILL and waits for its end. */
    public synchronized void kill() {
        end(true);
    }

    public void restart() {
        stop();
        start();
    }

    /** Sends a four-letter word and returns the answer. */
    public String word(String word) throws IOException {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress("127.0.0.1", port), 2000);
            socket.setSoTimeout(10_000);
            socket.getOutputStream().write(word.getBytes(StandardCharsets.US_ASCII));
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @Override
    public void close() {
        stop();
    }

    private Path log() {
        return directory.resolve("server.log");
    }

    private void end(boolean forcibly) {
        if (process == null) {
            return;
        }
        if (forcibly) {
            process.destroyForcibly();
        } else {
            process.destroy();
        }
        try {
            if (!process.waitFor(30, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                throw new IllegalStateException("the server did not end within 30 s of SIGTERM");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            process.destroyForcibly();
        }
        process = null;
    }

    private void awaitReady() throws IOException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(READY_SECONDS_MAX);
        while (System.nanoTime() < deadline) {
            if (!process.isAlive()) {
                throw new IllegalStateException("the server ended before it served:\n" + Files.readString(log()));
            }
            try {
                if (word("srvr").contains("Mode: standalone")) {
                    return;
                }
            } catch (IOException e) {
                // Not listening yet.
            }
            Await.pause();
        }
        throw new IllegalStateException("the server did not serve:\n" + Files.readString(log()));
    }

    // The Java server logs every request when it is left to logback's default.
    private Path logbackConfig() throws IOException {
        Path file = directory.resolve("logback.xml");
        Files.writeString(file, """
                <configuration>
                  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
                    <encoder><pattern>%d %-5p %c{0} - %m%n</pattern></encoder>
                  </appender>
                  <root level="WARN"><appender-ref ref="out"/></root>
                </configuration>
                """);
        return file;
    }

    // Below the range that the system hands to outgoing connections: the port has to stay ours while
    // a test has its server down.
    private static int freePort() throws IOException {
        for (int i = 0; i < 1000; i++) {
            int port = ThreadLocalRandom.current().nextInt(12_000, 32_000);
            try (ServerSocket socket = new ServerSocket()) {
                socket.bind(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), port));
                return port;
            } catch (IOException e) {
                // Taken: try another.
            }
        }
        throw new IOException("no free port");
    }
}
