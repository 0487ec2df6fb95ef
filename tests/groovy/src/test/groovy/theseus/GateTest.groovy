package theseus

import jenkins.model.CauseOfInterruption
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test
import theseus.cps.AgentLost
import theseus.cps.Pipeline
import theseus.cps.StepCall

/** People between the steps: consent, refusal, silence, and restarts while they think. */
class GateTest {
    static final String GATED = "theseusRollout(gates: ['shift-half'], submitter: 'ops', gateLimit: 90)"

    static Jenkins atTheGate(String source = GATED) {
        Jenkins jenkins = new Jenkins(source)
        jenkins.plan = ['begin', 'shift-half', 'promote']
        List<StepCall> waiting = jenkins.run()
        assert waiting*.name == ['input']
        jenkins.pipeline.restart()
        jenkins
    }

    static StepCall waiting(Jenkins jenkins) {
        jenkins.run().first()
    }

    @Test
    void consentIsAskedForWithTheFactsAndRecorded() {
        Jenkins jenkins = atTheGate().restarting()
        StepCall input = waiting(jenkins)
        assert input.args == [
            id: 'Theseus-theseus-shift-half', message: 'Go on?\nshop/web: web-v1 → web-v2.', ok: 'Go on',
            submitterParameter: 'approver', submitter: 'ops',
        ]
        assert input.around('timeout').args == [time: 90, unit: 'MINUTES']
        jenkins.toTheEnd()
        List<String> commands = jenkins.commands()
        assert commands[commands.indexOf('shift --step shift-half') - 1] == 'pipeline approve shift-half'
        assert jenkins.ofCommand('pipeline approve shift-half').env().THESEUS_ANSWERED_BY == 'alice'
        assert jenkins.result() == 'SUCCESS'
        jenkins.assertDiscipline()
    }

    @Test
    void theFlowsOwnGateSaysWhoAndHowLong() {
        Jenkins jenkins = new Jenkins('theseusRollout()')
        jenkins.gates = ['promote']
        StepCall input = waiting(jenkins)
        assert input.args.submitter == 'release-managers'
        assert input.around('timeout').args == [time: 7200, unit: 'SECONDS']
        assert jenkins.ofCommand('pipeline question promote').env().THESEUS_GATE_MESSAGE == 'Sure?'
        jenkins.toTheEnd().assertDiscipline()
        assert jenkins.commands().takeRight(2) == ['pipeline approve promote', 'promote --step promote']
    }

    @Test
    void consentBeforeBeginIsRecordedOnceThereIsAState() {
        Jenkins jenkins = new Jenkins("theseusRollout(gates: ['begin'])").toTheEnd()
        assert jenkins.commands().take(2) == ['begin', 'pipeline approve begin']
    }

    @Test
    void refusalExpiryAndAbortAtEveryGateAreRecordedAndRollBackOnce() {
        ['begin', 'shift-half', 'promote'].each { gate ->
            ends().each { Throwable cause, List<String> told ->
                Jenkins jenkins = atTheGate("theseusRollout(gates: ['$gate'], gateLimit: 90)")
                jenkins.pipeline.fail(waiting(jenkins), cause)
                assertPutBack(jenkins.toTheEnd(), gate, told)
            }
        }
        Jenkins jenkins = atTheGate("theseusRollout(gates: ['promote'])")
        jenkins.pipeline.abort('carol')
        assertPutBack(jenkins.toTheEnd(), 'promote', ['carol', 'Aborted by carol'])
    }

    /** How a gate may end, and what is recorded of it: who, and why. */
    private static Map<Throwable, List<String>> ends() {
        [
            (Jenkins.rejected('bob')): ['bob', 'Rejected by bob'],
            (Jenkins.rejected(null)): ['', 'Rejected'],
            (Jenkins.expired()): ['', 'no answer in 90 minutes'],
            (Jenkins.aborted('carol')): ['carol', 'Aborted by carol'],
        ]
    }

    private static void assertPutBack(Jenkins jenkins, String gate, List<String> told) {
        assert jenkins.pipeline.failure() instanceof FlowInterruptedException
        assert jenkins.result() == 'ABORTED'
        List<String> last = gate == 'begin' ? [] : ["pipeline refuse $gate".toString(), 'rollback --own']
        assert jenkins.commands().findAll { it =~ /^(rollback|pipeline refuse)/ } == last
        assert !jenkins.commands().any { it.contains("--step $gate") }
        if (last) {
            assert jenkins.ofCommand(last[0]).env().subMap('THESEUS_ANSWERED_BY', 'THESEUS_ANSWER_COMMENT').values() as List == told
            assert jenkins.steps('junit')*.text('testResults').contains("theseus/reports/$gate-gate/*.xml".toString())
        }
        jenkins.assertDiscipline()
    }

    @Test
    void anAnswerThatCannotBeRecordedDoesNotKeepARolloutFromItsWayBack() {
        Jenkins jenkins = atTheGate().fault('pipeline refuse shift-half', 3)
        jenkins.pipeline.fail(waiting(jenkins), Jenkins.rejected())
        jenkins.toTheEnd()
        assert jenkins.commands().takeRight(2) == ['pipeline refuse shift-half', 'rollback --own']
        assert jenkins.result() == 'ABORTED'
        jenkins.assertDiscipline()
    }

    @Test
    void whatJenkinsDoesNotTellIsNotRecorded() {
        Jenkins jenkins = atTheGate()
        jenkins.pipeline.fail(waiting(jenkins), new Discreet())
        jenkins.toTheEnd()
        assert jenkins.ofCommand('pipeline refuse shift-half').env().THESEUS_ANSWERED_BY == ''
        assert jenkins.rollbacks().size() == 1
    }

    /** As where the library is not trusted, and its sandbox keeps the causes to itself. */
    private static class Discreet extends FlowInterruptedException {
        Discreet() {
            super([] as CauseOfInterruption[])
        }

        @Override
        List getCauses() {
            throw new SecurityException('Scripts not permitted to use getCauses')
        }
    }

    @Test
    void aControllerCanBeReplacedWhilePeopleThink() {
        Jenkins first = atTheGate()
        byte[] saved = first.pipeline.save()
        Jenkins second = new Jenkins(GATED)
        second.pipeline.load(saved)
        second.pipeline.restart()
        second.toTheEnd()
        assert second.pipeline.failure() == null
        assert second.commands().last() == 'promote --step promote'
        assert !first.pipeline.ended()
        second.assertDiscipline()
    }

    @Test
    void anAgentLostAtTheQuestionOrTheRecordIsReplaced() {
        ['pipeline question shift-half', 'pipeline approve shift-half'].each { words ->
            Jenkins jenkins = new Jenkins(GATED).fault(words, new AgentLost()).toTheEnd()
            assert jenkins.result() == 'SUCCESS'
            assert jenkins.steps('input').size() == 1
        }
    }

    @Test
    void theBrickGivesTheApproversName() {
        Jenkins jenkins = new Jenkins("echo(theseusGate(step: 'promote', message: 'Now?'))").toTheEnd()
        assert jenkins.steps('echo').last().text('message') == 'alice'
        assert !jenkins.steps('input').first().args.containsKey('submitter')
    }
}
