package theseus.cps;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Outcome;
import java.io.Serializable;
import java.util.HashSet;
import java.util.LinkedHashMap;
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
    }
}
