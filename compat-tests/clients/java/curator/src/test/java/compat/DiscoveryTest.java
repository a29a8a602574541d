package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.curator.x.discovery.strategies.RoundRobinStrategy;
import org.junit.jupiter.api.Test;

/** Services that announce themselves and those who look for them. */
class DiscoveryTest extends CuratorTest {
    private static ServiceInstance<String> instance(String id, int port) throws Exception {
        return ServiceInstance.<String>builder().name("service").id(id).address("127.0.0.1").port(port)
                .payload("payload of " + id).build();
    }

    private ServiceDiscovery<String> discovery(CuratorFramework framework) throws Exception {
        ServiceDiscovery<String> discovery = closing(ServiceDiscoveryBuilder.builder(String.class)
                .client(framework).basePath("/discovery").build());
        discovery.start();
        return discovery;
    }

    @Test
    void instancesAreFoundAndGo() throws Exception {
        ServiceDiscovery<String> announcing = discovery(client);
        ServiceDiscovery<String> looking = discovery(other);
        ServiceInstance<String> one = instance("one", 1001);
        announcing.registerService(one);
        announcing.registerService(instance("two", 1002));
        assertEquals(Set.of("service"), Set.copyOf(looking.queryForNames()));
        assertEquals(2, looking.queryForInstances("service").size());
        ServiceInstance<String> found = looking.queryForInstance("service", "one");
        assertEquals(one, found);
        assertEquals("payload of one", found.getPayload());
        announcing.updateService(instance("one", 2001));
        assertEquals(2001, looking.queryForInstance("service", "one").getPort());
        announcing.unregisterService(one);
        assertNull(looking.queryForInstance("service", "one"));
        announcing.close();
        assertEquals(0, looking.queryForInstances("service").size());
    }

    @Test
    void aProviderSpreadsTheLoad() throws Exception {
        ServiceDiscovery<String> announcing = discovery(client);
        announcing.registerService(instance("one", 1001));
        announcing.registerService(instance("two", 1002));
        ServiceProvider<String> provider = closing(discovery(other).serviceProviderBuilder()
                .serviceName("service").providerStrategy(new RoundRobinStrategy<>()).build());
        provider.start();
        Await.until("both are known", () -> provider.getAllInstances().size() == 2);
        Set<String> ids = new HashSet<>();
        ids.add(provider.getInstance().getId());
        ids.add(provider.getInstance().getId());
        assertEquals(Set.of("one", "two"), ids);
        announcing.unregisterService(instance("two", 1002));
        Await.until("one is left", () -> provider.getAllInstances().size() == 1);
        assertEquals("one", provider.getInstance().getId());
    }

    @Test
    void aCacheFollows() throws Exception {
        ServiceCache<String> cache = closing(discovery(other).serviceCacheBuilder().name("service").build());
        cache.start();
        ServiceDiscovery<String> announcing = discovery(client);
        announcing.registerService(instance("one", 1001));
        Await.until("it appears", () -> cache.getInstances().size() == 1);
        announcing.unregisterService(instance("one", 1001));
        Await.until("it goes", () -> cache.getInstances().isEmpty());
    }

    @Test
    void aServiceIsAnnouncedAgainByItsNextSession() throws Exception {
        Proxy proxy = closing(new Proxy(server()));
        CuratorFramework shaky = connect(proxy.address(), Session.SHORT_MS);
        discovery(shaky).registerService(instance("one", 1001));
        ServiceDiscovery<String> looking = discovery(other);
        // Curator registers once more when it hears of its first connection, by a delete and a create.
        Await.until("it is there", () -> looking.queryForInstances("service").size() == 1);
        proxy.cut();
        Await.until("it goes", () -> looking.queryForInstances("service").isEmpty());
        proxy.restore();
        Await.until("it is back", () -> looking.queryForInstances("service").size() == 1);
        assertTrue(exists(other, "/discovery/service/one"));
    }
}
