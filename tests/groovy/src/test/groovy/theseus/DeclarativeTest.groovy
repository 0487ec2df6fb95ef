package theseus

import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test
import theseus.cps.AgentLost
import theseus.cps.StepCall

/** The declarative example, and the pipeline that builds this repository. */
class DeclarativeTest {
    static Jenkins example(int number = 7) {
        Jenkins.ofExample('Jenkinsfile.declarative', number)
    }

    static Jenkins ofRepository() {
        new Jenkins(Jenkins.ROOT.resolve('Jenkinsfile').toFile().getText('UTF-8'))
    }

    @Test
    void goodPath() {
        Jenkins jenkins = example().toTheEnd()
        assert jenkins.pipeline.failure() == null
        assert jenkins.result() == 'SUCCESS'
        assert jenkins.commands().first() == 'begin'
        assert jenkins.commands().last() == 'promote'
        assert jenkins.commands().count { it.startsWith('pipeline approve') } == 1
        assert jenkins.rollbacks() == []
        assert jenkins.steps('lock')*.args == [[resource: 'theseus/shop/web', inversePrecedence: true]]
        assert jenkins.steps('node').every { it.text('label') == 'deploy' }
        jenkins.assertDiscipline()
    }

    /** A restart from a stage begins with one of these: all of the release, in its lock and with its way back. */
    @Test
    void theReleaseIsTheOnlyStageToRestartFrom() {
        List<StepCall> outermost = example().toTheEnd().steps('stage').findAll { !it.around('stage') }
        assert outermost*.text('name') == ['Release']
    }

    /** The build before has ended and was put back: nothing of it is left, and its files are not taken for new. */
    @Test
    void aRestartBeginsTheReleaseAgainUnderItsOwnNumber() {
        Jenkins failed = example(7).fault('shift 100', 1).toTheEnd()
        assertPutBack(failed)
        Jenkins again = example(8).restarting().from('Release').toTheEnd()
        assert again.result() == 'SUCCESS'
        assert again.commands() == example().toTheEnd().commands()
        assert again.steps('sh')*.env()*.THESEUS_STATE.findAll().unique() == ['.theseus/build-8/theseus/theseus-state.json']
        again.assertDiscipline()
    }

    /** The build before was killed hard: its release stands in the way, and is not this build's to put back. */
    @Test
    void aRestartThatMayNotBeginEndsInsideTheLock() {
        Jenkins again = example(8).from('Release').fault('begin', 3).toTheEnd()
        assert again.commands() == ['begin', 'rollback --own']
        assert again.result() == 'FAILURE'
        assertPutBack(again)
    }

    @Test
    void noStageWithinTheReleaseCanBeRestartedFrom() {
        ['All traffic', 'nowhere'].each { stage ->
            Jenkins jenkins = example(8).from(stage).toTheEnd()
            assert jenkins.pipeline.failure().message.contains("'$stage'")
            assert jenkins.commands() == []
        }
    }

    @Test
    void whatComesBeforeTheStageOfARestartIsSkippedWithItsPost() {
        Jenkins jenkins = new Jenkins("""pipeline { agent none; stages {
            stage('One') { steps { echo 'one' }; post { always { echo 'after one' } } }
            stage('Two') { steps { echo 'two' }; post { always { echo 'after two' } } }
            stage('Three') { stages { stage('Two') { steps { echo 'inner' } } } }
        } }""").from('Two').toTheEnd()
        assert jenkins.steps('stage')*.text('name') == ['One', 'Two', 'Three', 'Two']
        assert jenkins.steps('echo')*.text('message') ==
            ['Stage "One" skipped due to this build restarting at stage "Two"', 'two', 'after two', 'inner']
    }

    @Test
    void eachStageFailingAbortedOrWithoutItsAgent() {
        List<String> all = example().toTheEnd().commands().findAll { !it.startsWith('pipeline') }
        all.each { words ->
            Jenkins failed = example().fault(words, 1).toTheEnd()
            assert failed.result() == 'FAILURE'
            assertPutBack(failed)
        }
        ['begin', 'shift 100', 'promote'].each { words ->
            Jenkins aborted = example().fault(words, Jenkins.aborted()).toTheEnd()
            assert aborted.result() == 'ABORTED'
            assertPutBack(aborted)
            Jenkins moved = example().fault(words, new AgentLost()).toTheEnd()
            assert moved.result() == 'SUCCESS'
            assert moved.commands().count(words) == 2
            moved.assertDiscipline()
        }
    }

    @Test
    void refusalExpiryAndAbortOfTheGate() {
        [Jenkins.rejected(), Jenkins.expired(), Jenkins.aborted()].each { cause ->
            Jenkins jenkins = example()
            StepCall input = jenkins.run().first()
            assert input.args.submitter == 'release-managers'
            jenkins.pipeline.restart()
            jenkins.pipeline.fail(jenkins.run().first(), cause)
            jenkins.toTheEnd()
            assert jenkins.pipeline.failure() instanceof FlowInterruptedException
            assert jenkins.result() == 'ABORTED'
            assert jenkins.commands()[-2] == 'pipeline refuse shift-full'
            assertPutBack(jenkins)
        }
    }

    private static void assertPutBack(Jenkins jenkins) {
        assert jenkins.commands().last() == 'rollback --own'
        assert jenkins.rollbacks().size() == 1
        assert jenkins.rollbacks().every { it.around('lock') }
        jenkins.assertDiscipline()
    }

    @Test
    void thisRepositoryIsBuiltAndItsResultsAreShownHoweverItEnds() {
        [[null, 'SUCCESS'], [1, 'FAILURE']].each { code, result ->
            Jenkins jenkins = ofRepository().fault('setup', code).toTheEnd()
            assert jenkins.result() == result
            StepCall build = jenkins.steps('sh').first()
            assert build.text('script') == '.ci/run'
            assert build.env().PYTEST_ADDOPTS == '--junit-xml=reports/tests.xml'
            assert build.around('timeout').args == [time: 60, unit: 'MINUTES']
            assert build.around('node').text('label') == 'linux'
            assert jenkins.steps('junit')*.args == [[testResults: 'reports/tests.xml', allowEmptyResults: false]]
        }
    }

    @Test
    void whatIsNoDeclarativePipelineIsRefused() {
        [
            'pipeline { agnet any; stages { stage("x") { steps { echo "x" } } } }': 'agnet',
            'pipeline { agent any; stages { stage("x") { post { always { echo "x" } } } } }': 'steps and stages',
            'pipeline { agent none; steps { echo "x" } }': 'steps in stages',
            'pipeline { agent none; stages { stage("x") { steps { echo "x" }; steps { echo "y" } } } }': 'Multiple',
            'pipeline { agent none; options { node("x") } stages { stage("x") { steps { echo "x" } } } }': 'no body',
        ].each { source, words ->
            assert new Jenkins(source).toTheEnd().pipeline.failure().message.contains(words)
        }
    }
}
