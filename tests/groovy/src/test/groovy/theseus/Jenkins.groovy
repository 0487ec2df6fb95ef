package theseus

import groovy.json.JsonOutput
import hudson.AbortException
import java.nio.file.Path
import java.nio.file.Paths
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import theseus.cps.AgentLost
import theseus.cps.Event
import theseus.cps.Pipeline
import theseus.cps.StepCall

/** A Jenkins around a pipeline: answers its steps, and knows what happened. */
class Jenkins {
    static final Path ROOT = Paths.get(System.getProperty('theseus.root')).toAbsolutePath().normalize()
    static final List<String> PLAN = ['begin', 'base-route', 'smoke-dark', 'shift-half', 'promote']

    final Pipeline pipeline
    /** What goes wrong at a command, by its words: an exit code, or what is thrown; used up one by one. */
    final Map<String, List> faults = [:]
    /** Steps of the plan that the flow puts a gate before. */
    List<String> gates = []

    Jenkins(String source) {
        pipeline = new Pipeline(source, [ROOT])
    }

    static Jenkins ofExample(String name) {
        new Jenkins(ROOT.resolve("examples/jenkins/$name").toFile().getText('UTF-8'))
    }

    static FlowInterruptedException interruption(String cause) {
        new FlowInterruptedException(cause)
    }

    /** The controller restarts before every step. */
    Jenkins restarting() {
        pipeline.restartsAtEveryStep = true
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

    private Object answer(StepCall step) {
        switch (step.name) {
            case 'input':
                return Pipeline.PENDING
            case 'sh':
                return shell(step)
            default:
                return stumble(step.name)
        }
    }

    private Object shell(StepCall step) {
        String words = command(step)
        stumble(words)
        if (words == 'plan --json') {
            return JsonOutput.toJson([steps: PLAN.collect { plannedStep(it) }])
        }
        if (words == 'pipeline lock') {
            return "theseus/shop/${step.env().THESEUS_CONFIG.replace('/theseus.yaml', '')}\n"
        }
        return words.startsWith('pipeline question') ? 'Go on?\nshop/web: web-v1 → web-v2.\n' : null
    }

    private Map plannedStep(String id) {
        [
            id: id, title: "The step $id", limit: 600, skipReason: '',
            argv: id == 'begin' ? ['begin'] : [id - ~/-(dark|half)$/, '--step', id],
            gate: id in gates ? [message: 'Sure?', submitter: 'release-managers', timeout: 7200.0] : null,
        ]
    }

    private Object stumble(String what) {
        List planned = faults[what]
        Object fault = planned ? planned.remove(0) : null
        if (fault instanceof Throwable) {
            throw fault
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

    /** The commands that touch the release, in order, without preparation and questions. */
    List<String> commands() {
        steps('sh').collect { command(it) }.findAll { it != 'setup' && !(it ==~ /plan .*|pipeline (lock|question) ?.*/) }
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
        steps('sh').findAll { it.env().THESEUS_STEP && !command(it).startsWith('rollback') && !command(it).startsWith('pipeline') }.each {
            assert it.around('timeout'), "no time limit: $it"
            assert it.around('timeout').around('node'), "a time limit that is not on the leaf: $it"
        }
        steps('sh').findAll { it.env().THESEUS_STEP }.each { assert it.around('lock'), "outside the lock: $it" }
        rollbacks().each { assert !it.around('timeout'), 'a time limit around a rollback' }
        steps('junit').each {
            assert it.args.allowEmptyResults == false
            assert it.text('testResults').endsWith('/*.xml')
        }
        assertReported()
    }

    /** Every step that ran has its report shown, its state archived and stashed, on the agent that ran it. */
    private void assertReported() {
        List<Event> all = events()
        all.eachWithIndex { Event event, int index ->
            StepCall step = event.step
            if (event.end || step.name != 'sh' || !step.env().THESEUS_STEP) {
                return
            }
            String folder = "reports/${step.env().THESEUS_STEP}/"
            StepCall node = step.around('node')
            List<StepCall> after = all.drop(index + 1).findAll { !it.end && it.step.around('node')?.number == node.number }*.step
            if (node.number in lostNodes()) {
                return
            }
            assert after.any { it.name == 'junit' && it.text('testResults').startsWith(folder) }, "no report of $folder"
            if (all.any { it.end && it.step.name == 'dir' && it.step.around('node').number == node.number && it.failure }) {
                return // interrupted while it kept them
            }
            assert after.any { it.name == 'archiveArtifacts' && it.text('artifacts').startsWith('theseus-state.json,') }
            assert after.any { it.name == 'stash' }
        }
    }

    private Set<Integer> lostNodes() {
        events().findAll { it.end && it.step.name == 'node' && it.failure instanceof AgentLost }*.step*.number as Set
    }
}
