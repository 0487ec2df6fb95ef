package theseus

import org.junit.Test
import theseus.cps.StepCall

/** Several services in one release, and the examples as they are shipped. */
class ReleasesTest {
    static Jenkins several() {
        Jenkins.ofExample('Jenkinsfile.multi-service')
    }

    static List<String> ofReleases(Jenkins jenkins, String words) {
        jenkins.steps('sh').findAll { Jenkins.command(it) == words }*.env()*.THESEUS_CONFIG
    }

    @Test
    void allPassBeforeAnyIsPromoted() {
        Jenkins jenkins = several().toTheEnd()
        assert jenkins.pipeline.failure() == null
        assert jenkins.steps('lock')*.args == [
            [resource: 'theseus/shop/reviews', inversePrecedence: true, extra: [[resource: 'theseus/shop/ratings']]],
        ]
        List<String> commands = jenkins.commands()
        assert commands.takeRight(4) == ['pipeline approve promote'] * 2 + ['promote --step promote'] * 2
        assert commands.dropRight(4).count('shift --step shift-half') == 2
        assert ofReleases(jenkins, 'promote --step promote') == ['reviews/theseus.yaml', 'ratings/theseus.yaml']
        jenkins.assertDiscipline()
    }

    @Test
    void allGoBackWhenOneFails() {
        Jenkins jenkins = several().fault('smoke --step smoke-dark', 1).toTheEnd()
        assert jenkins.result() == 'FAILURE'
        assert ofReleases(jenkins, 'rollback --own').toSet() == ['reviews/theseus.yaml', 'ratings/theseus.yaml'] as Set
        assert jenkins.rollbacks().size() == 2
        assert !jenkins.commands().any { it.startsWith('promote') }
        jenkins.assertDiscipline()
    }

    @Test
    void oneFailedRollbackLeavesTheOtherItsWay() {
        Jenkins jenkins = several().fault('shift --step shift-half', 1).fault('rollback --own', 3).toTheEnd()
        assert jenkins.rollbacks().size() == 2
        assert jenkins.result() == 'FAILURE'
    }

    @Test
    void whatIsPromotedIsNotPutBack() {
        Jenkins jenkins = several().fault('promote --step promote', null).fault('promote --step promote', 3).toTheEnd()
        assert ofReleases(jenkins, 'rollback --own') == ['ratings/theseus.yaml']
    }

    @Test
    void refusalPutsAllBack() {
        Jenkins jenkins = several()
        List<StepCall> waiting = jenkins.run()
        jenkins.pipeline.fail(waiting.first(), Jenkins.rejected())
        jenkins.toTheEnd()
        assert jenkins.rollbacks().size() == 2
        assert jenkins.result() == 'ABORTED'
        jenkins.assertDiscipline()
    }

    @Test
    void theScriptedExample() {
        Jenkins jenkins = Jenkins.ofExample('Jenkinsfile.scripted').toTheEnd()
        assert jenkins.steps('input')*.text('submitter') == ['release-managers'] * 2
        assert jenkins.result() == 'SUCCESS'
        jenkins.assertDiscipline()
    }
}
