import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/** Curator as a process: its ensemble tracker follows the members, and it says where it would connect to. */
public class CuratorClient {
    public static void main(String[] args) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(args[0]).sessionTimeoutMs(60_000).connectionTimeoutMs(60_000)
            .retryPolicy(new RetryForever(100)).ensembleTracker(true).build();
        client.getConnectionStateListenable().addListener((c, state) -> say("state " + state));
        client.start();
        client.blockUntilConnected();
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = commands.readLine()) != null; ) {
            String[] words = line.split(" ");
            try {
                switch (words[0]) {
                    case "servers":
                        String[] servers = client.getZookeeperClient().getCurrentConnectionString().split(",");
                        Arrays.sort(servers);
                        say("servers " + String.join(",", servers));
                        break;
                    case "config":
                        say("config " + Long.toHexString(client.getCurrentConfig().getVersion())
                            + " voters " + client.getCurrentConfig().getVotingMembers().keySet()
                            + " observers " + client.getCurrentConfig().getObservingMembers().keySet());
                        break;
                    case "create":
                        say("created " + client.create().withMode(CreateMode.valueOf(words[2])).forPath(words[1], new byte[0]));
                        break;
                    case "owner":
                        Stat stat = client.checkExists().forPath(words[1]);
                        say("owner " + (stat == null ? "gone" : Long.toHexString(stat.getEphemeralOwner())));
                        break;
                    default:
                        say("session " + Long.toHexString(client.getZookeeperClient().getZooKeeper().getSessionId()));
                }
            } catch (Exception e) {
                say("error " + e);
            }
        }
        client.close();
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
