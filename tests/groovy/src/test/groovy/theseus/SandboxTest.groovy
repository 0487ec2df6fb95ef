package theseus

import groovy.json.JsonSlurper
import java.nio.file.Path
import java.nio.file.Paths
import org.junit.Assume
import org.junit.Before
import org.junit.Test
import theseus.cps.StepCall

/**
 * From Groovy to Envoy: the shell steps run the real theseus-ci against a cluster that tests/groovy/test_groovy.py
 * has started, with web-v1 in it and a repository that releases web-v2.
 */
class SandboxTest {
    Map<String, Path> places = [:]

    @Before
    void onlyWithACluster() {
        Assume.assumeTrue('run by tests/groovy/test_groovy.py', System.getProperty('theseus.work', '') != '')
        places = ['repository', 'kubeconfig', 'work'].collectEntries { [it, Paths.get(System.getProperty("theseus.$it"))] }
    }

    private Agents build(int number, String more = '') {
        new Agents("""theseusRollout(config: 'theseus.yaml', label: 'deploy', credentialsId: 'cluster',
            venv: '${System.getProperty('theseus.venv')}'$more)""", number, places)
    }

    @Test
    void releases() {
        rejectedBeforeAnythingIsDeployed(build(1, ", gates: ['deploy']"))
        Agents release = build(2, ", gates: ['deploy', 'shift-half']")
        StepCall first = waiting(release)
        anotherBuildIsTold(build(3))
        release.pipeline.answer(first, 'alice')
        released(release, consentIsAskedFor(release))
        abortedAndPutBack(build(4, ", manifest: 'v3.yaml'"))
        abortedAndLeft(declarative(5))
        goneOnWith(declarative(6).from('Deliver'))
        nothingToGoOnWith(declarative(7).from('Deliver'))
    }

    /** Flat stages, so that a restart may leave out the beginning; on failure of the first they leave the release. */
    private Agents declarative(int number) {
        String options = "manifest: 'v3.yaml', label: 'deploy', credentialsId: 'cluster', venv: '${System.getProperty('theseus.venv')}'"
        new Agents("""pipeline {
            agent none
            options { lock(resource: 'web', inversePrecedence: true) }
            stages {
                stage('Prepare') { steps {
                    theseusStage(command: 'begin', $options)
                    theseusStage(command: 'base-route', $options)
                } }
                stage('Deliver') {
                    steps {
                        theseusStage(command: 'base-route', $options)
                        theseusStage(command: 'promote', $options)
                    }
                    post { unsuccessful { theseusRollback($options) } }
                }
            }
        }""", number, places)
    }

    private static void rejectedBeforeAnythingIsDeployed(Agents jenkins) {
        StepCall gate = waiting(jenkins)
        jenkins.pipeline.fail(gate, Jenkins.rejected('bob'))
        jenkins.toTheEnd()
        assert jenkins.result() == 'ABORTED'
        assert jenkins.commands().takeRight(2) == ['pipeline refuse deploy', 'rollback --own']
        jenkins.assertDiscipline()
        Map state = state(jenkins)
        assert state.phase == 'rolled back'
        assert state.gates*.subMap('step', 'approved', 'by', 'comment') ==
            [[step: 'deploy', approved: false, by: 'bob', comment: 'Rejected by bob']]
        assert published(jenkins).contains('the gate before deploy was answered with no by bob')
    }

    private static StepCall waiting(Agents jenkins) {
        List<StepCall> steps = jenkins.run()
        assert steps*.name == ['input'], "ended: ${jenkins.pipeline.failure()}"
        steps.first()
    }

    private static StepCall consentIsAskedFor(Agents jenkins) {
        StepCall gate = waiting(jenkins)
        String message = gate.text('message')
        assert message.contains('web-v1 → web-v2.')
        assert message.contains('10 % on web-v2')
        assert message.contains('Report: http://jenkins.example.com/job/web/2/artifact/theseus/reports/html/index.html')
        assert archived(jenkins).exists()
        jenkins.pipeline.restart()
        gate
    }

    private static void anotherBuildIsTold(Agents jenkins) {
        jenkins.toTheEnd()
        assert jenkins.result() == 'FAILURE'
        assert jenkins.commands() == ['begin', 'rollback --own']
        assert published(jenkins).contains('The rollout did not begin')
    }

    private static void released(Agents jenkins, StepCall gate) {
        jenkins.loseAt['shift 100 --step shift-full'] = 'shift-full: '
        jenkins.pipeline.answer(gate, 'alice')
        jenkins.toTheEnd()
        assert jenkins.result() == 'SUCCESS'
        assert jenkins.commands().last() == 'promote --step promote'
        assert jenkins.commands().count('shift 100 --step shift-full') == 2
        jenkins.assertDiscipline()
        Map state = state(jenkins)
        assert state.phase == 'promoted'
        assert state.gates*.subMap('step', 'approved', 'by') == ['deploy', 'shift-half'].collect { [step: it, approved: true, by: 'alice'] }
        String page = published(jenkins)
        assert page.contains('web-v2 released')
        assert page.contains('x-theseus') || page.contains('curl'), 'the evidence of smoke tests on other agents'
        jenkins.endOfOrphan()
    }

    /** The signal goes to the running command; what it had done is put back. */
    private static void abortedAndPutBack(Agents jenkins) {
        jenkins.abortAt['deploy --step deploy'] = 'deploy: '
        jenkins.toTheEnd()
        assert jenkins.result() == 'ABORTED'
        assert jenkins.commands() == ['begin', 'base-route --step base-route', 'deploy --step deploy', 'rollback --own']
        jenkins.assertDiscipline()
        assert state(jenkins).phase == 'rolled back'
    }

    private static void abortedAndLeft(Agents jenkins) {
        jenkins.abortAt['base-route'] = 'base-route: '
        jenkins.toTheEnd()
        assert jenkins.result() == 'ABORTED'
        assert jenkins.commands() == ['begin', 'base-route']
        assert state(jenkins).phase == 'running'
    }

    /** Another build with empty workspaces has the release from the cluster, so that it can take the next step of the
        flow, is refused one whose turn has not come, and puts back what the build before had begun. */
    private static void goneOnWith(Agents jenkins) {
        jenkins.toTheEnd()
        assert jenkins.commands() == ['base-route', 'promote', 'rollback --own']
        assert jenkins.result() == 'FAILURE'
        jenkins.assertDiscipline()
        Map state = state(jenkins)
        assert state.phase == 'rolled back'
        assert state.steps.find { it.id == 'base-route' }.verdict == 'pass'
        assert published(jenkins).contains('web-v3')
    }

    private static void nothingToGoOnWith(Agents jenkins) {
        jenkins.toTheEnd()
        assert jenkins.commands() == ['base-route', 'rollback --own']
        assert jenkins.result() == 'FAILURE'
        assert jenkins.pipeline.failure().message == 'script returned exit code 3'
    }

    private static Map state(Agents jenkins) {
        new JsonSlurper().parse(jenkins.archive().resolve('theseus/theseus-state.json').toFile()) as Map
    }

    private static File archived(Agents jenkins) {
        jenkins.archive().resolve('theseus/reports/html/index.html').toFile()
    }

    private static String published(Agents jenkins) {
        jenkins.work.resolve("published-${jenkins.number}/index.html").toFile().getText('UTF-8')
    }
}
