package theseus

import hudson.AbortException
import org.junit.Test
import theseus.cps.AgentLost
import theseus.cps.StepCall

/** onInconclusive: gate: a measurement ends with code 3, and people decide what it could not. */
class UndecidedTest {
    static final String MEASURE = 'performance --step performance-half'
    static final String OPEN = 'performance-half\n'
    static final String ROLLOUT = "theseusRollout(submitter: 'ops', gateLimit: 90)"

    static Jenkins measured(String source = ROLLOUT, Object fault = 3) {
        Jenkins jenkins = new Jenkins(source).fault(MEASURE, fault)
        jenkins.plan = ['begin', 'performance-half', 'shift-half', 'promote']
        jenkins.open = OPEN
        jenkins
    }

    static StepCall asked(Jenkins jenkins) {
        List<StepCall> waiting = jenkins.run()
        assert waiting*.name == ['input']
        waiting.first()
    }

    static List<StepCall> results(Jenkins jenkins, String step) {
        jenkins.steps('junit').findAll { it.text('testResults') == "theseus/reports/$step/*.xml".toString() }
    }

    @Test
    void whoAcceptsTheCandidateLetsItGoOn() {
        Jenkins jenkins = measured().restarting()
        StepCall input = asked(jenkins)
        assert input.args.subMap('id', 'submitter', 'ok') == [id: 'Theseus-theseus-performance-half', submitter: 'ops', ok: 'Accept it']
        assert input.args.message.startsWith('Go on?')
        assert input.around('timeout').args == [time: 90, unit: 'MINUTES']
        assert jenkins.ofCommand('pipeline question performance-half').env().THESEUS_GATE_MESSAGE == ''
        assert results(jenkins, 'performance-half')*.args*.skipMarkingBuildUnstable == [true]
        jenkins.toTheEnd()
        assert jenkins.pipeline.failure() == null
        assert jenkins.result() == 'SUCCESS'
        assert jenkins.commands() == [
            'begin', MEASURE, 'pipeline approve performance-half', 'shift --step shift-half', 'promote --step promote',
        ]
        assert jenkins.ofCommand('pipeline approve performance-half').env().THESEUS_ANSWERED_BY == 'alice'
        assert results(jenkins, 'begin')*.args*.skipMarkingBuildUnstable == [false]
        jenkins.assertDiscipline()
    }

    @Test
    void whoRefusesItOrDoesNotAnswerSendsItBack() {
        [
            (Jenkins.rejected('bob')): 'Rejected by bob',
            (Jenkins.expired()): 'no answer in 90 minutes',
            (Jenkins.aborted('carol')): 'Aborted by carol',
        ].each { Throwable cause, String why ->
            Jenkins jenkins = measured()
            StepCall input = asked(jenkins)
            jenkins.pipeline.fail(input, cause)
            jenkins.toTheEnd()
            assert jenkins.result() == 'ABORTED'
            assert jenkins.commands() == ['begin', MEASURE, 'pipeline refuse performance-half', 'rollback --own']
            assert jenkins.ofCommand('pipeline refuse performance-half').env().THESEUS_ANSWER_COMMENT == why
            assert results(jenkins, 'performance-half').size() == 1
            jenkins.assertDiscipline()
        }
    }

    @Test
    void anyOtherFailureOfAMeasurementEndsTheBuild() {
        [
            (measured().fault('pipeline undecided', 3)): 3, // it cannot be told
            (measured(ROLLOUT, 1)): 1, // it is decided: slower
            (nothingOpen(measured())): 3, // such as a generator that could not keep up
        ].each { Jenkins jenkins, int code ->
            jenkins.toTheEnd()
            assert jenkins.steps('input') == []
            assert jenkins.pipeline.failure() instanceof AbortException
            assert jenkins.pipeline.failure().message == "script returned exit code $code"
            assert jenkins.result() == 'FAILURE'
            assert jenkins.commands() == ['begin', MEASURE, 'rollback --own']
            assert results(jenkins, 'performance-half')*.args*.skipMarkingBuildUnstable == [false]
            jenkins.assertDiscipline()
        }
    }

    private static Jenkins nothingOpen(Jenkins jenkins) {
        jenkins.open = ''
        jenkins
    }

    /** What is open may have been left by a step before; only a measurement asks about itself. */
    @Test
    void otherStepsThatEndWithCode3DoNotAsk() {
        Jenkins jenkins = measured(ROLLOUT, 0).fault('shift --step shift-half', 3).fault('rollback --own', 3).toTheEnd()
        assert jenkins.steps('input') == []
        assert jenkins.ofCommand('pipeline undecided') == null
        assert jenkins.rollbacks().size() == 1
        assert jenkins.result() == 'FAILURE'
    }

    @Test
    void anAgentLostBeforeTheReportIsKeptMeasuresElsewhere() {
        Jenkins jenkins = measured().fault('pipeline undecided', new AgentLost()).toTheEnd()
        assert jenkins.commands().count(MEASURE) == 2
        assert jenkins.result() == 'SUCCESS'
    }

    @Test
    void theBrickAsksByTheNameOfTheStepAndAsItIsTold() {
        Jenkins jenkins = measured("""lock(resource: 'web') {
            theseusStage(command: '$MEASURE', gate: [submitter: 'ops', timeLimit: 4, unit: 'HOURS', ok: 'Yes'])
        }""")
        StepCall input = asked(jenkins)
        assert input.args.subMap('id', 'submitter', 'ok') == [id: 'Theseus-theseus-performance-half', submitter: 'ops', ok: 'Yes']
        assert input.around('timeout').args == [time: 4, unit: 'HOURS']
        jenkins.toTheEnd()
        assert jenkins.result() == 'SUCCESS'
        jenkins.assertDiscipline()
    }
}
