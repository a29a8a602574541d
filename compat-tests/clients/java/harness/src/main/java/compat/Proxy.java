package compat;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** A wire between client and server that a test can cut: the client's host has gone, as the server sees it. */
public final class Proxy implements AutoCloseable {
    private final ServerSocket listener;
    private final int target;
    private final Set<Socket> sockets = ConcurrentHashMap.newKeySet();
    private boolean up = true;

    public Proxy(Server server) throws IOException {
        target = server.port();
        listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        daemon(this::accept);
    }

    public String address() {
        return "127.0.0.1:" + listener.getLocalPort();
    }

    /** Closes what is connected and refuses new connections until {@link #restore}. */
    public synchronized void cut() {
        up = false;
        closeAll();
    }

    /** Closes what is connected; the client may come back at once. */
    public synchronized void interrupt() {
        closeAll();
    }

    public synchronized void restore() {
        up = true;
    }

    @Override
    public void close() throws IOException {
        listener.close();
        cut();
    }

    private void accept() {
        while (!listener.isClosed()) {
            try {
                Socket client = listener.accept();
                if (!connect(client)) {
                    client.close();
                }
            } catch (IOException e) {
                // The server is down or the proxy closes: the client sees a lost connection.
            }
        }
    }

    private synchronized boolean connect(Socket client) throws IOException {
        if (!up) {
            return false;
        }
        Socket server = new Socket();
        try {
            server.connect(new InetSocketAddress("127.0.0.1", target), 2000);
        } catch (IOException e) {
            return false;
        }
        client.setTcpNoDelay(true);
        server.setTcpNoDelay(true);
        sockets.add(client);
        sockets.add(server);
        daemon(() -> copy(client, server));
        daemon(() -> copy(server, client));
        return true;
    }

    private void copy(Socket from, Socket to) {
        try (from; to) {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            byte[] buffer = new byte[8192];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                out.write(buffer, 0, n);
            }
        } catch (IOException e) {
            // Either side went: both are closed.
        } finally {
            sockets.remove(from);
            sockets.remove(to);
        }
    }

    private void closeAll() {
        for (Socket socket : sockets) {
            try {
                socket.close();
            } catch (IOException e) {
                // Closed already.
            }
        }
    }

    private static void daemon(Runnable work) {
        Thread thread = new Thread(work, "proxy");
        thread.setDaemon(true);
        thread.start();
    }
}
