package compat;

import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Waiting for a condition, with a bound that only a broken server reaches. */
public final class Await {
    public static final int SECONDS_MAX = 60;

    private Await() {}

    /** Returns when the condition holds. A condition that throws does not hold yet. */
    public static void until(String what, Callable<Boolean> condition) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS_MAX);
        Exception last = null;
        while (System.nanoTime() < deadline) {
            try {
                if (condition.call()) {
                    return;
                }
                last = null;
            } catch (Exception e) {
                last = e;
            }
            pause();
        }
        throw new AssertionError("waited in vain: " + what, last);
    }

    /** The pace at which conditions are looked at. */
    static void pause() {
        try {
            TimeUnit.MILLISECONDS.sleep(20);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
