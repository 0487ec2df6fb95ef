package theseus

import groovy.json.JsonOutput
import hudson.AbortException
import java.nio.file.Path
import java.nio.file.Paths
import jenkins.model.CauseOfInterruption
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.jenkinsci.plugins.workflow.steps.TimeoutStepExecution
import org.jenkinsci.plugins.workflow.support.steps.input.Rejection
import theseus.cps.AgentLost
import theseus.cps.Event
import theseus.cps.Pipeline
import theseus.cps.StepCall

/** A Jenkins around a pipeline: answers its steps, and knows what happened. */
class Jenkins {
    static final Path ROOT = Paths.get(System.getProperty('theseus.root')).toAbsolutePath().normalize()
    static final Path DECLARATIVE = ROOT.resolve('tests/groovy/src/test/declarative')

    final Pipeline pipeline
    /** What goes wrong at a command, by its words: an exit code, or what is thrown; used up one by one. */
    final Map<String, List> faults = [:]
    /** What is thrown at the leaf step of that number, counted without gates. */
    Map<Integer, Throwable> faultsAt = [:]
    int leaves = 0
    List<String> plan = ['begin', 'base-route', 'smoke-dark', 'shift-half', 'promote']
    /** Steps of the plan that the flow puts a gate before. */
    List<String> gates = []
    /** What theseus-ci prints of a step that waits for a person's decision. */
    String open = ''

    Jenkins(String source, int number = 7) {
        pipeline = new Pipeline(source, [ROOT, DECLARATIVE], number)
    }

    static Jenkins ofExample(String name, int number = 7) {
        new Jenkins(ROOT.resolve("examples/jenkins/$name").toFile().getText('UTF-8'), number)
    }

    static FlowInterruptedException rejected(String user = 'bob') {
        new FlowInterruptedException(new Rejection(user))
    }

    static FlowInterruptedException expired() {
        new FlowInterruptedException(new TimeoutStepExecution.ExceededTimeout())
    }

    static FlowInterruptedException aborted(String user = 'carol') {
        new FlowInterruptedException(new CauseOfInterruption.UserInterruption(user))
    }

    /** The controller restarts before every step. */
    Jenkins restarting() {
        pipeline.restartsAtEveryStep = true
        this
    }

    /** "Restart from Stage": a build of its own that skips what comes before. */
    Jenkins from(String stage) {
        pipeline.build().restartedFrom = stage
        this
    }

    Jenkins fault(String words, Object what) {
        faults.get(words, []).add(what)
        this
    }

    /** Runs on, to the end or to the gates that it waits at. */
    List<StepCall> run() {
        List<StepCall> waiting = pipeline.run({ StepCall step -> answer(step) } as Pipeline.Answer)
        assert pipeline.mismatches == []
        waiting
    }

    /** Runs to the end, every gate answered with yes. */
    Jenkins toTheEnd() {
        List<StepCall> waiting = run()
        while (waiting) {
            waiting.each { pipeline.answer(it, 'alice') }
            waiting = run()
        }
        assert pipeline.ended()
        this
    }

    protected Object answer(StepCall step) {
        if (step.name == 'input') {
            return Pipeline.PENDING
        }
        leaves += 1
        if (faultsAt.containsKey(leaves)) {
            throw faultsAt[leaves]
        }
        step.name == 'sh' ? shell(step) : stumble(step.name)
    }

    private Object shell(StepCall step) {
        String words = command(step)
        Object code = stumble(words, step.args.returnStatus as boolean)
        if (step.args.returnStatus) {
            return code ?: 0
        }
        switch (words) {
            case 'plan --json':
                return JsonOutput.toJson([steps: plan.collect { plannedStep(it) }])
            case 'pipeline lock':
                return "theseus/shop/${step.env().THESEUS_CONFIG.replace('/theseus.yaml', '')}\n"
            case 'pipeline absent':
                return 'begin\nsmoke-dark\n'
            case 'pipeline undecided':
                return open
            case ~/pipeline question .*/:
                return 'Go on?\nshop/web: web-v1 → web-v2.\n'
            default:
                return null
        }
    }

    private Map plannedStep(String id) {
        [
            id: id, title: "The step $id", limit: 600, skipReason: '',
            argv: id == 'begin' ? ['begin'] : [id - ~/-(dark|half)$/, '--step', id],
            gate: id in gates ? [message: 'Sure?', submitter: 'release-managers', timeout: 7200.0] : null,
        ]
    }

    protected Object stumble(String what, boolean tellsCode = false) {
        List planned = faults[what]
        Object fault = planned ? planned.remove(0) : null
        if (fault instanceof Throwable) {
            throw fault
        }
        if (fault instanceof Integer && tellsCode) {
            return fault
        }
        if (fault instanceof Integer) {
            throw new AbortException("script returned exit code $fault")
        }
        null
    }

    static String command(StepCall step) {
        step.env().THESEUS_COMMAND ?: 'setup'
    }

    // -- what happened --------------------------------------------------------------------------

    List<Event> events() {
        pipeline.events
    }

    List<StepCall> steps(String name) {
        events().findAll { !it.end && it.step.name == name }*.step
    }

    /** The commands that touch the release, in order, without preparation, questions and pages. */
    List<String> commands() {
        steps('sh').collect { command(it) }.findAll {
            it != 'setup' && !(it ==~ /plan .*|report|pipeline (lock|question|absent|undecided) ?.*/)
        }
    }

    StepCall ofCommand(String words) {
        steps('sh').find { command(it) == words }
    }

    List<StepCall> rollbacks() {
        steps('sh').findAll { command(it).startsWith('rollback') }
    }

    String result() {
        pipeline.build().currentResult
    }

    /** What must hold after every rollout, however it went. */
    void assertDiscipline() {
        steps('input').each { input ->
            assert !input.around('node'), 'a gate holds an executor'
            assert input.around('timeout'), 'a gate without a time limit'
            assert input.around('lock'), 'a gate outside the lock'
        }
        steps('sh').each { step ->
            if (command(step).startsWith('rollback')) {
                assert !step.around('timeout'), 'a time limit around a rollback'
            } else {
                assert step.around('timeout'), "no time limit: ${command(step)}"
                assert step.around('timeout').around('node'), "a time limit that is not on the leaf: ${command(step)}"
            }
            if (step.env().THESEUS_STEP) {
                assert step.around('lock'), "outside the lock: ${command(step)}"
            }
        }
        steps('junit').each {
            assert it.args.allowEmptyResults == false
            assert it.text('testResults').endsWith('/*.xml')
        }
        assertReported()
    }

    /** Every step that ran has its report shown, and report and state kept, on the agent that ran it. */
    protected void assertReported() {
        List<Event> all = events()
        all.eachWithIndex { Event event, int index ->
            StepCall step = event.step
            if (event.end || step.name != 'sh' || !step.env().THESEUS_STEP || step.around('node').number in lostNodes()) {
                return
            }
            String folder = step.env().THESEUS_REPORTS_DIR - ~'^[.]theseus/build-[0-9]+/'
            StepCall node = step.around('node')
            List<Event> after = all.drop(index + 1).findAll { it.step.around('node')?.number == node.number }
            List<StepCall> begun = after.findAll { !it.end }*.step
            assert begun.any { it.name == 'junit' && it.text('testResults') == "$folder/*.xml" }, "no report of $folder"
            if (after.any { it.end && it.step.name == 'dir' && it.failure }) {
                return // interrupted while it kept them
            }
            assert begun.any { it.name == 'archiveArtifacts' && it.text('artifacts').contains("theseus-state.json,$folder/**,") }
            assert begun.count { it.name == 'stash' } == 2
        }
    }

    protected Set<Integer> lostNodes() {
        events().findAll { it.end && it.step.name == 'node' && it.failure instanceof AgentLost }*.step*.number as Set
    }
}
