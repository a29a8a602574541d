package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderLatchListener;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.leader.Participant;
import org.junit.jupiter.api.Test;

/** One of many, by latch and by selector. */
class LeaderTest extends CuratorTest {
    @Test
    void theLatchPassesFromOneToTheNext() throws Exception {
        List<LeaderLatch> latches = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            LeaderLatch latch = new LeaderLatch(i % 2 == 0 ? client : other, "/latch", "id-" + i);
            latch.start();
            int position = i + 1;
            Await.until("in the queue", () -> latch.getParticipants().size() == position);
            latches.add(latch);
        }
        while (!latches.isEmpty()) {
            LeaderLatch first = latches.remove(0);
            assertTrue(first.await(Await.SECONDS_MAX, TimeUnit.SECONDS));
            assertEquals(first.getId(), first.getLeader().getId());
            for (LeaderLatch waiting : latches) {
                assertFalse(waiting.hasLeadership());
                assertEquals(first.getId(), waiting.getLeader().getId());
            }
            first.close();
        }
    }

    @Test
    void theLatchTellsItsListener() throws Exception {
        BlockingQueue<String> told = new LinkedBlockingQueue<>();
        LeaderLatch latch = new LeaderLatch(client, "/latch", "one", LeaderLatch.CloseMode.NOTIFY_LEADER);
        latch.addListener(new LeaderLatchListener() {
            @Override
            public void isLeader() {
                told.add("leader");
            }

            @Override
            public void notLeader() {
                told.add("not");
            }
        });
        latch.start();
        assertEquals("leader", take(told));
        latch.close();
        assertEquals("not", take(told));
    }

    @Test
    void aLeaderWhoseSessionEndsIsReplaced() throws Exception {
        Proxy proxy = closing(new Proxy(server()));
        CuratorFramework shaky = connect(proxy.address(), Session.SHORT_MS);
        LeaderLatch first = closing(new LeaderLatch(shaky, "/latch", "first"));
        first.start();
        assertTrue(first.await(Await.SECONDS_MAX, TimeUnit.SECONDS));
        LeaderLatch second = closing(new LeaderLatch(client, "/latch", "second"));
        second.start();
        proxy.cut();
        assertTrue(second.await(Await.SECONDS_MAX, TimeUnit.SECONDS));
        Await.until("the old leader knows", () -> !first.hasLeadership());
        proxy.restore();
        Await.until("the old leader queues again", () -> second.getParticipants().size() == 2);
        assertTrue(second.hasLeadership());
    }

    @Test
    void theSelectorGivesEachItsTurn() throws Exception {
        AtomicInteger leading = new AtomicInteger();
        BlockingQueue<String> turns = new LinkedBlockingQueue<>();
        for (String id : List.of("a", "b", "c")) {
            LeaderSelector selector = closing(new LeaderSelector("b".equals(id) ? other : client, "/selector",
                    new LeaderSelectorListenerAdapter() {
                        @Override
                        public void takeLeadership(CuratorFramework framework) {
                            if (leading.incrementAndGet() == 1) {
                                turns.add(id);
                            }
                            leading.decrementAndGet();
                        }
                    }));
            selector.setId(id);
            selector.autoRequeue();
            selector.start();
        }
        Set<String> seen = new HashSet<>();
        while (seen.size() < 3) {
            seen.add(take(turns));
        }
    }

    @Test
    void aSelectorsLeaderCanBeInterrupted() throws Exception {
        BlockingQueue<String> turns = new LinkedBlockingQueue<>();
        LeaderSelectorListenerAdapter forever = new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework framework) throws InterruptedException {
                turns.add("led");
                new CountDownLatch(1).await();
            }
        };
        LeaderSelector one = closing(new LeaderSelector(client, "/selector", forever));
        one.setId("one");
        one.start();
        take(turns);
        assertTrue(one.hasLeadership());
        LeaderSelector two = closing(new LeaderSelector(other, "/selector", forever));
        two.setId("two");
        two.start();
        Await.until("both take part", () -> one.getParticipants().size() == 2);
        assertEquals(new Participant("one", true), two.getLeader());
        one.interruptLeadership();
        take(turns);
        Await.until("the second leads", two::hasLeadership);
    }
}
