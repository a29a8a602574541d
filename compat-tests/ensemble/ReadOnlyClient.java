import java.io.BufferedReader;
import java.io.InputStreamReader;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;

/** The Java client as a process: it may be read-only, says what its connection becomes, and does what it is told. */
public class ReadOnlyClient {
    public static void main(String[] args) throws Exception {
        ZooKeeper client = new ZooKeeper(args[0], 30_000, event -> say("state " + event.getState()), true);
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = commands.readLine()) != null; ) {
            String[] words = line.split(" ");
            try {
                switch (words[0]) {
                    case "get":
                        say("got " + new String(client.getData(words[1], false, null)));
                        break;
                    case "create":
                        CreateMode mode = CreateMode.valueOf(words[2]);
                        say("created " + client.create(words[1], new byte[0], ZooDefs.Ids.OPEN_ACL_UNSAFE, mode));
                        break;
                    default:
                        say("session " + Long.toHexString(client.getSessionId()));
                }
            } catch (KeeperException e) {
                say("error " + e.code());
            }
        }
        client.close();
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
