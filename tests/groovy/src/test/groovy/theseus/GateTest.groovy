package theseus

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
        assert jenkins.steps('sh').find { Jenkins.command(it).startsWith('pipeline approve') }.env().THESEUS_APPROVED_BY == 'alice'
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
        StepCall asked = jenkins.steps('sh').find { Jenkins.command(it) == 'pipeline question promote' }
        assert asked.env().THESEUS_GATE_MESSAGE == 'Sure?'
        jenkins.toTheEnd().assertDiscipline()
        assert jenkins.commands().takeRight(2) == ['pipeline approve promote', 'promote --step promote']
    }

    @Test
    void consentBeforeBeginIsRecordedOnceThereIsAState() {
        Jenkins jenkins = new Jenkins("theseusRollout(gates: ['begin'])").toTheEnd()
        assert jenkins.commands().take(2) == ['begin', 'pipeline approve begin']
    }

    @Test
    void refusalExpiryAndAbortAtEveryGateRollBackOnce() {
        Jenkins.PLAN.each { gate ->
            ['rejected', 'timeout exceeded'].each { cause ->
                Jenkins jenkins = atTheGate("theseusRollout(gates: ['$gate'])")
                jenkins.pipeline.fail(waiting(jenkins), Jenkins.interruption(cause))
                assertPutBack(jenkins.toTheEnd(), gate, cause)
            }
            Jenkins jenkins = atTheGate("theseusRollout(gates: ['$gate'])")
            jenkins.pipeline.abort()
            assertPutBack(jenkins.toTheEnd(), gate, 'aborted by a user')
        }
    }

    private static void assertPutBack(Jenkins jenkins, String gate, String cause) {
        assert jenkins.pipeline.failure() instanceof FlowInterruptedException
        assert jenkins.pipeline.failure().message == cause
        assert jenkins.result() == 'ABORTED'
        assert jenkins.rollbacks().size() == (gate == 'begin' ? 0 : 1)
        assert !jenkins.commands().any { it.contains("--step $gate") }
        jenkins.assertDiscipline()
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
