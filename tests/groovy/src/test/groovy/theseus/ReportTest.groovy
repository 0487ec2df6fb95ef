package theseus

import org.junit.Test
import theseus.cps.StepCall

/** What every step leaves for people to read. */
class ReportTest {
    static final String TWO_STEPS = "theseusRollout(config: 'web/theseus.yaml')"

    static Jenkins jenkins() {
        Jenkins made = new Jenkins(TWO_STEPS)
        made.plan = ['begin', 'promote']
        made
    }

    @Test
    void everyStepDrawsThePageAndKeepsIt() {
        Jenkins jenkins = jenkins().toTheEnd()
        List<StepCall> pages = jenkins.steps('sh').findAll { Jenkins.command(it) == 'report' }
        assert pages.size() == 2
        assert pages*.env()*.THESEUS_REPORTS_DIR.unique() == ['.theseus/build-7/theseus/reports']
        assert jenkins.steps('archiveArtifacts')*.text('artifacts') == ['begin', 'promote'].collect {
            "theseus/theseus-state.json,theseus/reports/$it/**,theseus/reports/html/**".toString()
        }
        assert jenkins.steps('stash')*.text('name') ==
            ['theseus.theseus', 'theseus.theseus.begin', 'theseus.theseus', 'theseus.theseus.promote']
        assert jenkins.steps('archiveArtifacts')*.folder()*.toString().unique() == ['.theseus/build-7']
    }

    @Test
    void theEndPublishesThePageWithTheEvidenceOfAllSteps() {
        Jenkins jenkins = jenkins().toTheEnd()
        assert jenkins.steps('unstash')*.text('name') == ['theseus.theseus.begin', 'theseus.theseus.smoke-dark']
        assert jenkins.steps('publishHTML')*.args == [[target: [
            reportName: 'Rollout', reportDir: '.theseus/build-7/theseus/reports/html', reportFiles: 'index.html',
            keepAll: true, alwaysLinkToLastBuild: true, allowMissing: true,
        ]]]
    }

    @Test
    void theWayBackPublishesItToo() {
        assert jenkins().fault('promote --step promote', 1).toTheEnd().steps('publishHTML').size() == 1
    }

    @Test
    void severalServicesHaveAPageEach() {
        List<StepCall> published = ReleasesTest.several().toTheEnd().steps('publishHTML')
        assert published*.args*.target*.reportName == ['Rollout reviews', 'Rollout ratings']
    }

    @Test
    void withoutThePublisherThePageIsAnArtefact() {
        Jenkins jenkins = jenkins()
        jenkins.pipeline.missing.add('publishHTML')
        jenkins.toTheEnd()
        assert jenkins.result() == 'SUCCESS'
        assert jenkins.steps('echo').last().text('message').endsWith('the artefact theseus/reports/html/index.html')
    }

    @Test
    void aPageThatCannotBeMadeDecidesNothing() {
        ['report', 'unstash', 'publishHTML', 'pipeline absent'].each { what ->
            Jenkins jenkins = jenkins()
            2.times { jenkins.fault(what, new IOException('no space left')) }
            jenkins.toTheEnd()
            assert jenkins.result() == 'SUCCESS'
            assert jenkins.steps('archiveArtifacts').size() == 2
        }
    }

    @Test
    void aStepCanHoldTheLockByItself() {
        Jenkins jenkins = new Jenkins("theseusStage(command: 'run', lock: 'theseus/shop/web')").toTheEnd()
        assert jenkins.ofCommand('run').around('lock').args == [resource: 'theseus/shop/web', inversePrecedence: true]
        assert jenkins.steps('publishHTML').size() == 1
        jenkins.assertDiscipline()
    }
}
