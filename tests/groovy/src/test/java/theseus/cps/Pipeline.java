package theseus.cps;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Continuation;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.ObjectInputStreamWithLoader;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import com.cloudbees.groovy.cps.impl.SourceLocation;
import com.cloudbees.groovy.cps.sandbox.Invoker;
import groovy.lang.Binding;
import groovy.lang.Closure;
import groovy.lang.Script;
import hudson.AbortException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/**
 * Runs a pipeline on the interpreter that Jenkins uses. The steps are answered from outside; between
 * any two of them the program can be saved, and loaded by classes that share nothing with the former,
 * as when a controller restarts.
 */
public final class Pipeline {
    /** Answers a leaf step: a value is its result, an exception its failure, PENDING leaves it waiting. */
    public interface Answer {
        Object to(StepCall step) throws Throwable;
    }

    public static final Object PENDING = new Object();
    private static final ThreadLocal<Pipeline> CURRENT = new ThreadLocal<>();
    private static final List<Class> CATEGORIES = new ArrayList<>(Continuable.categories);

    static {
        CATEGORIES.add(SerializableIteration.class);
    }

    /** Calls that groovy-cps could not follow: code that does not do in Jenkins what it says. */
    public final List<String> mismatches = new ArrayList<>();
    /** Whether the controller restarts between any two steps; else the program is only saved and loaded. */
    public boolean restartsAtEveryStep;
    public int restarts;
    /** Steps of plugins that this Jenkins does not have. */
    public final Set<String> missing = new HashSet<>();
    /** Shared by the builds of one Jenkins. */
    public Locks locks = new Locks();
    /** What has happened, as somebody outside sees it: no restart forgets it. */
    public final List<Event> events = new ArrayList<>();

    private final List<Path> libraries;
    private final Compiled compiled;
    private ClassLoader loader;
    private Script main;
    private ProgramState state = new ProgramState();
    private ProgramState.Thread running;

    public Pipeline(String source, List<Path> libraries, int number) throws Exception {
        this.libraries = libraries;
        compiled = new Compiled(source, libraries);
        boot();
        state.env.put("BUILD_NUMBER", String.valueOf(number));
    }

    static Pipeline current() {
        return CURRENT.get();
    }

    public Build build() {
        return state.build;
    }

    public Map<String, Object> params() {
        return state.params;
    }

    public boolean ended() {
        return state.end != null;
    }

    /** What ended the program, null when it came to its own end. */
    public Throwable failure() {
        return state.end == null ? null : state.end.getAbnormal();
    }

    /** Runs until the end, or until every thread waits for a PENDING step; returns those. */
    public List<StepCall> run(Answer answer) throws Exception {
        CURRENT.set(this);
        CpsCallableInvocation.registerMismatchHandler((expected, name, found, foundName) ->
            mismatches.add(expected.getClass().getName() + "." + name + " called, " + foundName + " caught"));
        try {
            if (state.threadsMade == 0) {
                begin(null, null, null, new Continuable(main, Envs.empty(Invoker.INSTANCE)));
            }
            while (true) {
                ProgramState.Thread ready = ready();
                if (ready != null) {
                    advance(ready);
                    save();
                } else if (!lockOne() && !answerOne(answer)) {
                    return pending();
                }
            }
        } finally {
            CURRENT.remove();
            CpsCallableInvocation.registerMismatchHandler(null);
        }
    }

    /** A step that was left waiting gets its result. */
    public void answer(StepCall step, Object value) {
        resume(state.threads.get(step.thread), new Outcome(value, null));
    }

    /** A step that was left waiting fails. */
    public void fail(StepCall step, Throwable failure) {
        resume(state.threads.get(step.thread), new Outcome(null, failure));
    }

    /** Somebody stops the build: the innermost steps are interrupted. */
    public void abort(String user) {
        interrupt(state.threads.values().iterator().next(),
            new FlowInterruptedException(new CauseOfInterruption.UserInterruption(user)));
    }

    public byte[] save() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            out.writeObject(state);
        }
        return bytes.toByteArray();
    }

    public void load(byte[] saved) throws Exception {
        boot();
        read(saved);
    }

    /** Saves, forgets everything, loads with new classes. */
    public void restart() throws Exception {
        load(save());
        restarts++;
    }

    /** What Jenkins does at every step is done in every test: all that lives is saved, and read again. */
    private void between() throws Exception {
        if (restartsAtEveryStep) {
            restart();
        } else {
            read(save());
        }
    }

    private void read(byte[] saved) throws Exception {
        try (ObjectInputStream in = new ObjectInputStreamWithLoader(
            new ByteArrayInputStream(saved), loader)) {
            state = (ProgramState) in.readObject();
        }
    }

    private void boot() throws ReflectiveOperationException {
        loader = compiled.loader();
        main = (Script) loader.loadClass(Compiled.MAIN).getDeclaredConstructor().newInstance();
        main.setBinding(new Binding());
    }

    Object globalVariable(Script from, String name) {
        switch (name) {
            case "env":
                return state.env;
            case "params":
                return state.params;
            case "currentBuild":
                return state.build;
            case "scm":
                return "scm";
            default:
                return variableOfLibrary(from, name);
        }
    }

    private Object variableOfLibrary(Script from, String name) {
        Binding binding = from.getBinding();
        if (binding.hasVariable(name)) {
            return binding.getVariable(name);
        }
        for (Path library : libraries) {
            if (Files.exists(library.resolve("vars/" + name + ".groovy"))) {
                try {
                    Script made = (Script) loader.loadClass(name).getDeclaredConstructor().newInstance();
                    made.setBinding(binding);
                    binding.setVariable(name, made);
                    return made;
                } catch (ReflectiveOperationException error) {
                    throw new IllegalStateException("vars/" + name + ".groovy", error);
                }
            }
        }
        return null;
    }

    Object step(String name, Object[] given) {
        if (Symbols.NAMES.contains(name)) {
            return Symbols.of(name, given);
        }
        Steps.Step known = Steps.of(name);
        if (known == null || missing.contains(name)) {
            throw new NoSuchMethodError("No such DSL method '" + name + "' found among steps");
        }
        StepCall call = new StepCall(state.stepsMade++, name, given, running.inside, running.id);
        if (known.kind == Steps.Kind.AT_ONCE) {
            events.add(new Event(call, false, null));
            return atOnce(call);
        }
        return Continuable.suspend(name, call);
    }

    private Object atOnce(StepCall call) {
        if (call.name.equals("error")) {
            throw Failure.unchecked(new AbortException(call.text("message")));
        }
        if (call.name.equals("libraryResource")) {
            return resource(call.text("resource"));
        }
        return null;
    }

    private String resource(String name) {
        for (Path library : libraries) {
            Path path = library.resolve("resources").resolve(name);
            if (Files.exists(path)) {
                try {
                    return new String(Files.readAllBytes(path), StandardCharsets.UTF_8);
                } catch (IOException error) {
                    throw new IllegalStateException(error);
                }
            }
        }
        throw Failure.unchecked(new AbortException("No such library resource " + name + " could be found."));
    }

    private ProgramState.Thread begin(ProgramState.Thread parent, StepCall inside, String branch, Continuable program) {
        ProgramState.Thread made = new ProgramState.Thread();
        made.id = state.threadsMade++;
        made.parent = parent;
        made.inside = inside;
        made.branch = branch;
        made.program = program;
        made.resume = new Outcome(null, null);
        state.threads.put(made.id, made);
        return made;
    }

    private ProgramState.Thread ready() {
        return state.threads.values().stream().filter(one -> one.resume != null).findFirst().orElse(null);
    }

    private List<StepCall> pending() {
        List<StepCall> steps = new ArrayList<>();
        for (ProgramState.Thread one : state.threads.values()) {
            if (one.waiting != null && Steps.of(one.waiting.name).kind == Steps.Kind.LEAF) {
                steps.add(one.waiting);
            }
        }
        return steps;
    }

    /** Answers the first step that gets an answer; false when all of them stay pending. */
    private boolean answerOne(Answer answer) throws Exception {
        if (pending().isEmpty()) {
            return false;
        }
        between();
        for (StepCall step : pending()) {
            Outcome outcome = outcomeOf(step, answer);
            if (outcome != null) {
                resume(state.threads.get(step.thread), outcome);
                return true;
            }
        }
        return false;
    }

    /** Lets in the first step that waits for a lock which is free; false when there is none. */
    private boolean lockOne() {
        for (ProgramState.Thread one : state.threads.values()) {
            if (one.queued && locks.take(this, one.waiting)) {
                one.queued = false;
                body(one, one.waiting, one.waiting.body, null);
                return true;
            }
        }
        return false;
    }

    private Outcome outcomeOf(StepCall step, Answer answer) {
        StepCall node = step.around("node");
        if (Steps.of(step.name).needsNode && node != null && state.lostNodes.contains(node.number)) {
            return new Outcome(null, new IOException("the agent of this step has gone"));
        }
        try {
            Object value = answer.to(step);
            return value == PENDING ? null : new Outcome(value, null);
        } catch (Throwable failure) {
            if (failure instanceof AgentLost) {
                state.lostNodes.add(node.number);
            }
            return new Outcome(null, failure);
        }
    }

    private static void resume(ProgramState.Thread thread, Outcome outcome) {
        thread.waiting = null;
        thread.queued = false;
        thread.resume = outcome;
    }

    private void advance(ProgramState.Thread thread) {
        Outcome input = thread.resume;
        thread.resume = null;
        running = thread;
        Outcome output = thread.program.run0(input, CATEGORIES);
        if (!thread.program.isResumable()) {
            finished(thread, output);
            return;
        }
        StepCall call = (StepCall) output.getNormal();
        Steps.Step step = Steps.of(call.name);
        if (step.needsNode && call.around("node") == null) {
            resume(thread, new Outcome(null, new IllegalStateException(
                "Required context class hudson.FilePath is missing: " + call.name + " outside a node")));
            return;
        }
        events.add(new Event(call, false, null));
        thread.waiting = call;
        if (step.kind == Steps.Kind.BLOCK) {
            enter(thread, call);
        }
    }

    private void enter(ProgramState.Thread thread, StepCall call) {
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

    private void body(ProgramState.Thread parent, StepCall call, Closure<?> closure, String branch) {
        if (closure == null) {
            resume(parent, new Outcome(null, new IllegalStateException("There is no body to invoke: " + call)));
            return;
        }
        try {
            Object value = closure.call();
            finished(begin(parent, call, branch, null), new Outcome(value, null));
        } catch (CpsCallableInvocation invocation) {
            begin(parent, call, branch, new Continuable(
                invocation.invoke(Envs.empty(Invoker.INSTANCE), SourceLocation.UNKNOWN, Continuation.HALT)));
        }
    }

    private void finished(ProgramState.Thread thread, Outcome outcome) {
        state.threads.remove(thread.id);
        Throwable failure = outcome.getAbnormal();
        if (thread.parent == null) {
            state.end = outcome;
            if (failure != null) {
                state.build.worsen(failure instanceof FlowInterruptedException ? "ABORTED" : "FAILURE");
            }
            return;
        }
        ProgramState.Thread parent = thread.parent;
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
            state.build.worsen(call.args.containsKey("buildResult") ? call.text("buildResult") : "FAILURE");
            outcome = new Outcome(null, null);
        }
        if (call.name.equals("lock")) {
            locks.release(this, call);
        }
        call.body = null;
        events.add(new Event(call, true, failure));
        resume(parent, outcome);
    }

    /** What parallel comes to once its last branch has ended; null before. */
    private Outcome joined(ProgramState.Thread parent, ProgramState.Thread branch, Outcome outcome) {
        Throwable failure = outcome.getAbnormal();
        parent.results.put(branch.branch, outcome.getNormal());
        if (failure != null && parent.firstFailure == null) {
            parent.firstFailure = failure;
            if (Boolean.TRUE.equals(parent.waiting.args.get("failFast"))) {
                for (ProgramState.Thread other : new ArrayList<>(state.threads.values())) {
                    if (other.parent == parent) {
                        interrupt(other, new FlowInterruptedException(new BranchFailed()));
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
    private static boolean repeats(ProgramState.Thread thread, StepCall call, Throwable failure) {
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

    private void interrupt(ProgramState.Thread thread, Throwable cause) {
        List<ProgramState.Thread> inner = new ArrayList<>();
        for (ProgramState.Thread one : state.threads.values()) {
            if (one.parent == thread) {
                inner.add(one);
            }
        }
        if (inner.isEmpty()) {
            resume(thread, new Outcome(null, cause));
        }
        inner.forEach(one -> interrupt(one, cause));
    }

    /** Throws a checked exception where Groovy allows it and Java does not. */
    private static final class Failure {
        @SuppressWarnings("unchecked")
        static <T extends Throwable> RuntimeException unchecked(Throwable failure) throws T {
            throw (T) failure;
        }
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
