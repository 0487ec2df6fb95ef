package theseus

import org.junit.Test
import theseus.cps.AgentLost
import theseus.cps.StepCall

/** What may happen in the middle of anything happens at every single step. */
class AnyStepTest {
    static Jenkins short_(String options = '') {
        Jenkins jenkins = new Jenkins("theseusRollout(config: 'web/theseus.yaml'$options)")
        jenkins.plan = ['begin', 'promote']
        jenkins
    }

    private static int stepsOfTheGoodPath() {
        short_().toTheEnd().leaves
    }

    @Test
    void abortedAtAnyStepEverythingIsPutBackOnce() {
        (1..stepsOfTheGoodPath()).each { number ->
            Jenkins jenkins = short_()
            jenkins.faultsAt[number] = Jenkins.aborted()
            jenkins.toTheEnd()
            boolean begun = jenkins.steps('stage').any { it.text('name') == 'The step begin' }
            assert jenkins.rollbacks().size() == (begun ? 1 : 0)
            assert jenkins.result() == 'ABORTED'
            jenkins.assertDiscipline()
        }
    }

    @Test
    void anAgentLostAtAnyStepIsReplaced() {
        (1..stepsOfTheGoodPath()).each { number ->
            Jenkins jenkins = short_()
            jenkins.faultsAt[number] = new AgentLost()
            jenkins.toTheEnd()
            assert jenkins.result() == 'SUCCESS', "lost at step $number: ${jenkins.pipeline.failure()}"
            assert jenkins.rollbacks() == []
            assert jenkins.commands().unique() == ['begin', 'promote --step promote']
            jenkins.assertDiscipline()
        }
    }

    @Test
    void theSecondBuildWaitsForTheFirstAndItsWayBack() {
        Jenkins first = short_(", gates: ['promote']")
        Jenkins second = short_()
        second.pipeline.locks = first.pipeline.locks
        StepCall gate = first.run().first()
        assert second.run() == []
        assert !second.pipeline.ended()
        assert second.commands() == []
        first.pipeline.fail(gate, Jenkins.rejected())
        first.fault('rollback --own', 3).toTheEnd()
        assert first.rollbacks().size() == 1
        second.toTheEnd()
        assert second.result() == 'SUCCESS'
    }

    @Test
    void aBuildThatWaitsForTheLockCanBeAborted() {
        Jenkins first = short_(", gates: ['promote']")
        Jenkins second = short_()
        second.pipeline.locks = first.pipeline.locks
        first.run()
        second.run()
        second.pipeline.restart()
        second.pipeline.abort('carol')
        second.toTheEnd()
        assert second.result() == 'ABORTED'
        assert second.commands() == []
    }
}
