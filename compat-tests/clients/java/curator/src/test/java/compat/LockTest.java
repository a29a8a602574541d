package compat;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.locks.Revoker;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.junit.jupiter.api.Test;

/** Locks and semaphores. */
class LockTest extends CuratorTest {
    /** Long enough for an answer; what cannot be had is not there later either. */
    private static boolean tryAcquire(InterProcessLock lock) throws Exception {
        return lock.acquire(200, TimeUnit.MILLISECONDS);
    }

    private void excludes(InterProcessLock one, InterProcessLock two) throws Exception {
        one.acquire();
        assertTrue(one.isAcquiredInThisProcess());
        assertFalse(tryAcquire(two));
        Future<Boolean> waiting = inThread(() -> {
            two.acquire();
            boolean free = !one.isAcquiredInThisProcess();
            two.release();
            return free;
        });
        one.release();
        assertTrue(get(waiting));
        assertTrue(one.acquire(Await.SECONDS_MAX, TimeUnit.SECONDS));
        one.release();
    }

    @Test
    void mutex() throws Exception {
        excludes(new InterProcessMutex(client, "/lock"), new InterProcessMutex(other, "/lock"));
    }

    @Test
    void semaphoreMutex() throws Exception {
        excludes(new InterProcessSemaphoreMutex(client, "/lock"), new InterProcessSemaphoreMutex(other, "/lock"));
    }

    @Test
    void multiLock() throws Exception {
        excludes(new InterProcessMultiLock(client, List.of("/a", "/b", "/c")),
                new InterProcessMultiLock(other, List.of("/c", "/x")));
        // Half a set is given back.
        InterProcessMutex last = new InterProcessMutex(other, "/b");
        last.acquire();
        assertFalse(tryAcquire(new InterProcessMultiLock(client, List.of("/a", "/b"))));
        InterProcessMutex first = new InterProcessMutex(other, "/a");
        assertTrue(first.acquire(Await.SECONDS_MAX, TimeUnit.SECONDS));
        first.release();
        last.release();
    }

    @Test
    void aMutexIsReentrantAndFair() throws Exception {
        InterProcessMutex mutex = new InterProcessMutex(client, "/lock");
        mutex.acquire();
        mutex.acquire();
        mutex.release();
        List<Integer> order = new ArrayList<>();
        List<Future<Void>> waiting = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            int number = i;
            InterProcessMutex next = new InterProcessMutex(i % 2 == 0 ? other : client, "/lock");
            waiting.add(inThread(() -> {
                next.acquire();
                order.add(number);
                next.release();
                return null;
            }));
            int queued = i + 2;
            Await.until("in the queue", () -> mutex.getParticipantNodes().size() == queued);
        }
        mutex.release();
        for (Future<Void> one : waiting) {
            get(one);
        }
        assertEquals(List.of(0, 1, 2, 3, 4), order);
    }

    @Test
    void manyContendersExcludeEachOther() throws Exception {
        AtomicInteger inside = new AtomicInteger();
        int[] counter = {0};
        List<Future<Void>> contenders = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            CuratorFramework mine = i % 2 == 0 ? client : other;
            contenders.add(inThread(() -> {
                InterProcessMutex mutex = new InterProcessMutex(mine, "/lock");
                for (int n = 0; n < 10; n++) {
                    mutex.acquire();
                    assertEquals(1, inside.incrementAndGet());
                    counter[0]++;
                    inside.decrementAndGet();
                    mutex.release();
                }
                return null;
            }));
        }
        for (Future<Void> one : contenders) {
            get(one);
        }
        assertEquals(80, counter[0]);
    }

    @Test
    void aRevocationReachesTheHolder() throws Exception {
        InterProcessMutex mutex = new InterProcessMutex(client, "/lock");
        CountDownLatch revoked = new CountDownLatch(1);
        mutex.makeRevocable(asked -> revoked.countDown());
        mutex.acquire();
        String node = mutex.getParticipantNodes().iterator().next();
        Revoker.attemptRevoke(other, node);
        assertTrue(revoked.await(Await.SECONDS_MAX, TimeUnit.SECONDS));
        mutex.release();
    }

    @Test
    void aLockGoesWithItsSession() throws Exception {
        Proxy proxy = closing(new Proxy(server()));
        CuratorFramework lost = connect(proxy.address(), Session.SHORT_MS);
        InterProcessMutex held = new InterProcessMutex(lost, "/lock");
        assertTrue(get(inThread(() -> held.acquire(Await.SECONDS_MAX, TimeUnit.SECONDS))));
        InterProcessMutex mutex = new InterProcessMutex(client, "/lock");
        assertFalse(tryAcquire(mutex));
        proxy.cut();
        assertTrue(mutex.acquire(Await.SECONDS_MAX, TimeUnit.SECONDS));
        mutex.release();
        proxy.restore();
    }

    @Test
    void readersShareAndWritersDoNot() throws Exception {
        InterProcessReadWriteLock one = new InterProcessReadWriteLock(client, "/lock");
        InterProcessReadWriteLock two = new InterProcessReadWriteLock(other, "/lock");
        one.readLock().acquire();
        assertTrue(two.readLock().acquire(Await.SECONDS_MAX, TimeUnit.SECONDS));
        assertFalse(tryAcquire(two.writeLock()));
        two.readLock().release();
        Future<Boolean> writer = inThread(() -> {
            InterProcessReadWriteLock three = new InterProcessReadWriteLock(other, "/lock");
            three.writeLock().acquire();
            // By the nodes: the reader that let go may not have heard the answer yet.
            boolean alone = other.getChildren().forPath("/lock").size() == 1;
            three.writeLock().release();
            return alone;
        });
        one.readLock().release();
        assertTrue(get(writer));
        // A writer may step down to reader without a gap.
        one.writeLock().acquire();
        one.readLock().acquire();
        assertFalse(tryAcquire(two.readLock()));
        one.writeLock().release();
        assertTrue(two.readLock().acquire(Await.SECONDS_MAX, TimeUnit.SECONDS));
        two.readLock().release();
        one.readLock().release();
    }

    @Test
    void aSemaphoreHandsOutItsLeases() throws Exception {
        InterProcessSemaphoreV2 one = new InterProcessSemaphoreV2(client, "/semaphore", 3);
        InterProcessSemaphoreV2 two = new InterProcessSemaphoreV2(other, "/semaphore", 3);
        Lease first = one.acquire();
        Lease second = two.acquire();
        Lease third = two.acquire(Await.SECONDS_MAX, TimeUnit.SECONDS);
        assertNotNull(third);
        assertEquals(3, one.getParticipantNodes().size());
        assertNull(one.acquire(200, TimeUnit.MILLISECONDS));
        Future<Lease> waiting = inThread(one::acquire);
        two.returnLease(second);
        one.returnLease(get(waiting));
        one.returnLease(first);
        two.returnLease(third);
        one.returnAll(one.acquire(3));
    }

    @Test
    void aSemaphoreFollowsASharedCount() throws Exception {
        SharedCount size = closing(new SharedCount(client, "/size", 1));
        size.start();
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(other, "/semaphore", size);
        Lease first = semaphore.acquire();
        assertNull(semaphore.acquire(200, TimeUnit.MILLISECONDS));
        Future<Lease> waiting = inThread(semaphore::acquire);
        size.setCount(2);
        semaphore.returnLease(get(waiting));
        semaphore.returnLease(first);
    }
}
