package theseus.cps;

import com.cloudbees.groovy.cps.Continuable;
import com.cloudbees.groovy.cps.Envs;
import com.cloudbees.groovy.cps.ObjectInputStreamWithLoader;
import com.cloudbees.groovy.cps.Outcome;
import com.cloudbees.groovy.cps.impl.CpsCallableInvocation;
import com.cloudbees.groovy.cps.sandbox.Invoker;
import groovy.lang.Binding;
import groovy.lang.Script;
import hudson.AbortException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
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

    private final Libraries libraries;
    private final Blocks blocks = new Blocks(this);
    private final Compiled compiled;
    private ClassLoader loader;
    private Script main;
    private ProgramState state = new ProgramState();
    private ProgramState.Thread running;

    public Pipeline(String source, List<Path> libraries, int number) throws Exception {
        this.libraries = new Libraries(libraries);
        compiled = new Compiled(source, libraries);
        boot();
        state.env.put("BUILD_NUMBER", String.valueOf(number));
    }

    static Pipeline current() {
        return CURRENT.get();
    }

    ProgramState state() {
        return state;
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
                state.begin(null, null, null, new Continuable(main, Envs.empty(Invoker.INSTANCE)));
            }
            while (true) {
                ProgramState.Thread ready = state.ready();
                if (ready != null) {
                    advance(ready);
                    save();
                } else if (!blocks.lockOne() && !answerOne(answer)) {
                    return state.pending();
                }
            }
        } finally {
            CURRENT.remove();
            CpsCallableInvocation.registerMismatchHandler(null);
        }
    }

    /** A step that was left waiting gets its result. */
    public void answer(StepCall step, Object value) {
        state.of(step).resume(new Outcome(value, null));
    }

    /** A step that was left waiting fails. */
    public void fail(StepCall step, Throwable failure) {
        state.of(step).resume(new Outcome(null, failure));
    }

    /** Somebody stops the build: the innermost steps are interrupted. */
    public void abort(String user) {
        state.interrupt(state.threads.values().iterator().next(),
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
                return libraries.variable(from, name, loader);
        }
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
            return libraries.resource(call.text("resource"));
        }
        return null;
    }

    /** Answers the first step that gets an answer; false when all of them stay pending. */
    private boolean answerOne(Answer answer) throws Exception {
        if (state.pending().isEmpty()) {
            return false;
        }
        between();
        for (StepCall step : state.pending()) {
            Outcome outcome = outcomeOf(step, answer);
            if (outcome != null) {
                state.of(step).resume(outcome);
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

    private void advance(ProgramState.Thread thread) {
        Outcome input = thread.resume;
        thread.resume = null;
        running = thread;
        Outcome output = thread.program.run0(input, CATEGORIES);
        if (!thread.program.isResumable()) {
            blocks.finished(thread, output);
            return;
        }
        StepCall call = (StepCall) output.getNormal();
        Steps.Step step = Steps.of(call.name);
        if (step.needsNode && call.around("node") == null) {
            thread.resume(new Outcome(null, new IllegalStateException(
                "Required context class hudson.FilePath is missing: " + call.name + " outside a node")));
            return;
        }
        events.add(new Event(call, false, null));
        thread.waiting = call;
        if (step.kind == Steps.Kind.BLOCK) {
            blocks.enter(thread, call);
        }
    }
}
