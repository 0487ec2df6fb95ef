package theseus.cps;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Continuation;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import com.cloudbees.groovy.cps.impl.SourceLocation;
import com.cloudbees.groovy.cps.sandbox.Invoker;
import groovy.lang.Closure;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;
import theseus.cps.ProgramState.Thread;

/** What steps with a body do: when it runs, how often, and what its end means. */
final class Blocks {
    private final Pipeline build;

    Blocks(Pipeline build) {
        this.build = build;
    }

    /** A thread waits from now on for what becomes of a block. */
    void enter(Thread thread, StepCall call) {
        thread.tries = 0;
        thread.live = 0;
        thread.firstFailure = null;
        thread.results.clear();
        if (call.name.equals("lock")) {
            thread.queued = true;
            return;
        }
        if (!call.name.equals("parallel")) {
            body(thread, call, call.body, null);
            return;
        }
        for (Map.Entry<String, Object> each : call.args.entrySet()) {
            if (each.getValue() instanceof Closure) {
                thread.live++;
                body(thread, call, (Closure<?>) each.getValue(), each.getKey());
            }
        }
    }

    /** Lets in the first step that waits for a lock which is free; false when there is none. */
    boolean lockOne() {
        for (Thread one : build.state().threads.values()) {
            if (one.queued && build.locks.take(build, one.waiting)) {
                one.queued = false;
                body(one, one.waiting, one.waiting.body, null);
                return true;
            }
        }
        return false;
    }

    private void body(Thread parent, StepCall call, Closure<?> closure, String branch) {
        if (closure == null) {
            parent.resume(new Outcome(null, new IllegalStateException("There is no body to invoke: " + call)));
            return;
        }
        try {
            Object value = closure.call();
            finished(build.state().begin(parent, call, branch, null), new Outcome(value, null));
        } catch (CpsCallableInvocation invocation) {
            build.state().begin(parent, call, branch, new Continuable(
                invocation.invoke(Envs.empty(Invoker.INSTANCE), SourceLocation.UNKNOWN, Continuation.HALT)));
        }
    }

    /** A thread has come to its end, and with it perhaps the block that it is the body of. */
    void finished(Thread thread, Outcome outcome) {
        build.state().threads.remove(thread.id);
        Throwable failure = outcome.getAbnormal();
        if (thread.parent == null) {
            build.state().end = outcome;
            if (failure != null) {
                build.state().build.worsen(failure instanceof FlowInterruptedException ? "ABORTED" : "FAILURE");
            }
            return;
        }
        Thread parent = thread.parent;
        StepCall call = parent.waiting;
        if (call.name.equals("parallel")) {
            outcome = joined(parent, thread, outcome);
            if (outcome == null) {
                return;
            }
        } else if (failure != null && repeats(parent, call, failure)) {
            body(parent, call, call.body, null);
            return;
        } else if (failure != null && swallows(call, failure)) {
            build.state().build.worsen(call.args.containsKey("buildResult") ? call.text("buildResult") : "FAILURE");
            outcome = new Outcome(null, null);
        }
        if (call.name.equals("lock")) {
            build.locks.release(build, call);
        }
        call.body = null;
        build.events.add(new Event(call, true, failure));
        parent.resume(outcome);
    }

    /** What parallel comes to once its last branch has ended; null before. */
    private Outcome joined(Thread parent, Thread branch, Outcome outcome) {
        Throwable failure = outcome.getAbnormal();
        parent.results.put(branch.branch, outcome.getNormal());
        if (failure != null && parent.firstFailure == null) {
            parent.firstFailure = failure;
            if (Boolean.TRUE.equals(parent.waiting.args.get("failFast"))) {
                for (Thread other : new ArrayList<>(build.state().threads.values())) {
                    if (other.parent == parent) {
                        build.state().interrupt(other, new FlowInterruptedException(new BranchFailed()));
                    }
                }
            }
        }
        if (--parent.live > 0) {
            return null;
        }
        return parent.firstFailure == null
            ? new Outcome(new LinkedHashMap<>(parent.results), null)
            : new Outcome(null, parent.firstFailure);
    }

    /** With conditions retry repeats only what they name: here, the loss of the agent. */
    private static boolean repeats(Thread thread, StepCall call, Throwable failure) {
        if (!call.name.equals("retry")) {
            return false;
        }
        boolean fits = call.args.containsKey("conditions")
            ? ((List<?>) call.args.get("conditions")).contains(Symbols.AGENT) && failure instanceof AgentLost
            : !(failure instanceof FlowInterruptedException);
        return fits && ++thread.tries < ((Number) call.args.get("count")).intValue();
    }

    private static boolean swallows(StepCall call, Throwable failure) {
        return call.name.equals("catchError") && failure instanceof Exception
            && !(failure instanceof FlowInterruptedException && Boolean.FALSE.equals(call.args.get("catchInterruptions")));
    }

    /** Why the other branches of a `parallel` end when one has failed. */
    private static final class BranchFailed extends CauseOfInterruption {
        private static final long serialVersionUID = 1;

        @Override
        public String getShortDescription() {
            return "Failed in another branch";
        }
    }
}
