package theseus.cps;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Outcome;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/** All that survives a restart of the controller. */
final class ProgramState implements Serializable {
    private static final long serialVersionUID = 1;

    final Map<Integer, Thread> threads = new TreeMap<>();
    final Set<Integer> lostNodes = new HashSet<>();
    final Build build = new Build();
    final Map<String, String> env = new TreeMap<>();
    final Map<String, Object> params = new TreeMap<>();
    Outcome end;
    int threadsMade;
    int stepsMade;

    Thread begin(Thread parent, StepCall inside, String branch, Continuable program) {
        Thread made = new Thread();
        made.id = threadsMade++;
        made.parent = parent;
        made.inside = inside;
        made.branch = branch;
        made.program = program;
        made.resume = new Outcome(null, null);
        threads.put(made.id, made);
        return made;
    }

    Thread of(StepCall step) {
        return threads.get(step.thread);
    }

    /** A thread that can go on, null when all of them wait. */
    Thread ready() {
        return threads.values().stream().filter(one -> one.resume != null).findFirst().orElse(null);
    }

    /** The leaf steps that wait for an answer. */
    List<StepCall> pending() {
        List<StepCall> steps = new ArrayList<>();
        for (Thread one : threads.values()) {
            if (one.waiting != null && Steps.of(one.waiting.name).kind == Steps.Kind.LEAF) {
                steps.add(one.waiting);
            }
        }
        return steps;
    }

    /** Stops the innermost steps below a thread. */
    void interrupt(Thread thread, Throwable cause) {
        List<Thread> inner = new ArrayList<>();
        for (Thread one : threads.values()) {
            if (one.parent == thread) {
                inner.add(one);
            }
        }
        if (inner.isEmpty()) {
            thread.resume(new Outcome(null, cause));
        }
        inner.forEach(one -> interrupt(one, cause));
    }

    /** One line of execution: the main one, the body of a block, or a branch of parallel. */
    static final class Thread implements Serializable {
        private static final long serialVersionUID = 1;
        int id;
        Thread parent;
        StepCall inside;
        String branch;
        Continuable program;
        Outcome resume;
        StepCall waiting;
        boolean queued; // for a lock
        int tries;
        int live;
        Throwable firstFailure;
        final Map<String, Object> results = new LinkedHashMap<>();

        /** The step that it waits for has ended. */
        void resume(Outcome outcome) {
            waiting = null;
            queued = false;
            resume = outcome;
        }
    }
}
