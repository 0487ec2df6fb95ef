package theseus

import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.junit.Test
import theseus.cps.AgentLost
import theseus.cps.StepCall

/** theseusRollout for one service, however it ends. */
class RolloutTest {
    static final String SIMPLE = "theseusRollout(config: 'web/theseus.yaml', label: 'deploy', credentialsId: 'cluster')"
    static final List<String> ALL = [
        'begin', 'base-route --step base-route', 'smoke --step smoke-dark', 'shift --step shift-half',
        'promote --step promote',
    ]

    @Test
    void goodPath() {
        Jenkins jenkins = new Jenkins(SIMPLE).toTheEnd()
        assert jenkins.pipeline.failure() == null
        assert jenkins.result() == 'SUCCESS'
        assert jenkins.commands() == ALL
        assert jenkins.steps('lock')*.args == [[resource: 'theseus/shop/web', inversePrecedence: true]]
        assert jenkins.steps('stage')*.text('name') == ['Plan'] + jenkins.plan.collect { "The step $it".toString() }
        assert jenkins.steps('node').every { it.text('label') == 'deploy' }
        jenkins.assertDiscipline()
    }

    @Test
    void theControllerMayRestartBeforeEveryStep() {
        Jenkins jenkins = new Jenkins(SIMPLE).restarting()
        jenkins.plan = ['begin', 'promote']
        jenkins.fault('promote --step promote', 1).toTheEnd()
        assert jenkins.pipeline.restarts > 20
        assert jenkins.commands() == ['begin', 'promote --step promote', 'rollback --own']
        jenkins.assertDiscipline()
    }

    @Test
    void eachStepFailing() {
        [ALL, [1, 2, 3, 143, 1]].transpose().each { words, code ->
            Jenkins jenkins = new Jenkins(SIMPLE).fault(words, code).toTheEnd()
            assert jenkins.commands() == ALL.takeWhile { it != words } + [words, 'rollback --own']
            assert jenkins.pipeline.failure().message == "script returned exit code $code"
            assert jenkins.result() == 'FAILURE'
            jenkins.assertDiscipline()
        }
    }

    @Test
    void eachStepAborted() {
        ALL.each { words ->
            Jenkins jenkins = new Jenkins(SIMPLE).fault(words, Jenkins.aborted()).toTheEnd()
            assert jenkins.commands() == ALL.takeWhile { it != words } + [words, 'rollback --own']
            assert jenkins.pipeline.failure() instanceof FlowInterruptedException
            assert jenkins.result() == 'ABORTED'
            jenkins.assertDiscipline()
        }
    }

    @Test
    void aPlanThatFailsLeavesNothingToPutBack() {
        Jenkins jenkins = new Jenkins(SIMPLE).fault('plan --json', 2).toTheEnd()
        assert jenkins.commands() == []
        assert jenkins.result() == 'FAILURE'
    }

    @Test
    void anAgentThatIsLostIsReplaced() {
        ALL.each { words ->
            Jenkins jenkins = new Jenkins(SIMPLE).fault(words, new AgentLost()).toTheEnd()
            assert jenkins.commands() == ALL.collectMany { it == words ? [it, it] : [it] }
            assert jenkins.result() == 'SUCCESS'
            List<StepCall> twice = jenkins.steps('sh').findAll { Jenkins.command(it) == words }
            assert twice*.around('node')*.number.unique().size() == 2
            assert jenkins.steps('checkout').size() == jenkins.steps('node').size()
            jenkins.assertDiscipline()
        }
    }

    @Test
    void agentsThatKeepGettingLostEndTheRollout() {
        Jenkins jenkins = new Jenkins(SIMPLE)
        2.times { jenkins.fault('shift --step shift-half', new AgentLost()) }
        jenkins.fault('rollback --own', new AgentLost()).toTheEnd()
        assert jenkins.commands().count('shift --step shift-half') == 2
        assert jenkins.commands().takeRight(2) == ['rollback --own'] * 2 // the first was lost with its agent
        assert jenkins.result() == 'ABORTED'
        jenkins.assertDiscipline()
    }

    @Test
    void aReportThatCannotBeReadDoesNotHideTheFailure() {
        Jenkins jenkins = new Jenkins(SIMPLE).fault('smoke --step smoke-dark', 1)
        2.times { jenkins.fault('junit', null) }
        jenkins.fault('junit', new IOException('no space left')).toTheEnd()
        assert jenkins.pipeline.failure().message == 'script returned exit code 1'
        assert jenkins.rollbacks().size() == 1
    }

    @Test
    void aRollbackThatFailsIsSaidAndTheFirstFailureStays() {
        Jenkins jenkins = new Jenkins(SIMPLE).fault('smoke --step smoke-dark', 1).fault('rollback --own', 3).toTheEnd()
        assert jenkins.pipeline.failure().message == 'script returned exit code 1'
        assert jenkins.result() == 'FAILURE'
        assert jenkins.events().any { it.end && it.step.name == 'catchError' && it.failure?.message?.endsWith('3') }
        jenkins.assertDiscipline()
    }

    @Test
    void aRollbackCanBeAborted() {
        Jenkins jenkins = new Jenkins(SIMPLE).fault('smoke --step smoke-dark', 1)
            .fault('rollback --own', Jenkins.aborted('dave')).toTheEnd()
        assert jenkins.pipeline.failure().causes*.user*.id == ['dave']
        assert jenkins.result() == 'ABORTED'
    }

    @Test
    void timeLimitsComeFromThePlanUnlessGiven() {
        assert limits(new Jenkins(SIMPLE)) == [[time: 600, unit: 'SECONDS']]
        assert limits(new Jenkins('theseusRollout(timeLimit: 30)')) == [[time: 30, unit: 'MINUTES']]
    }

    private static List<Map> limits(Jenkins jenkins) {
        jenkins.toTheEnd().steps('sh').findAll { it.env().THESEUS_STEP }*.around('timeout')*.args.unique()
    }

    @Test
    void valuesReachTheStepsThroughTheEnvironment() {
        Jenkins jenkins = new Jenkins('''theseusRollout(
            version: '1.4.2"; rm -rf /', manifest: 'k8s/web.yaml', environment: [REGION: 'eu $(id)'],
            wheelhouse: '/wheels', python: 'python3.12', commandVersion: '9.9')''').toTheEnd()
        Map env = jenkins.steps('sh').find { Jenkins.command(it) == 'begin' }.env()
        assert env.THESEUS_VERSION == '1.4.2"; rm -rf /'
        assert env.THESEUS_MANIFEST == 'k8s/web.yaml'
        assert env.REGION == 'eu $(id)'
        assert env.THESEUS_STATE == '.theseus/build-7/theseus/theseus-state.json'
        Map setup = jenkins.steps('sh').find { Jenkins.command(it) == 'setup' }.env()
        assert setup.subMap('THESEUS_CI_VERSION', 'THESEUS_WHEELHOUSE', 'THESEUS_PYTHON', 'THESEUS_INSTALL') ==
            [THESEUS_CI_VERSION: '9.9', THESEUS_WHEELHOUSE: '/wheels', THESEUS_PYTHON: 'python3.12', THESEUS_INSTALL: 'yes']
        Set<String> scripts = ['setup', 'command', 'step'].collect {
            Jenkins.ROOT.resolve("resources/theseus/${it}.sh").toFile().getText('UTF-8')
        }
        assert jenkins.steps('sh')*.text('script').toSet() == scripts
    }

    @Test
    void theVersionIsTheLibrarysOwn() {
        Map env = new Jenkins(SIMPLE).toTheEnd().steps('sh').first().env()
        assert env.THESEUS_CI_VERSION == Jenkins.ROOT.resolve('resources/theseus/VERSION').toFile().text.trim()
    }

    @Test
    void credentialsSurroundEveryCommand() {
        Jenkins jenkins = new Jenkins(SIMPLE).toTheEnd()
        jenkins.steps('sh').findAll { Jenkins.command(it) != 'setup' }.each {
            assert it.around('withCredentials').text('bindings').contains('credentialsId=cluster')
            assert it.around('withCredentials').text('bindings').contains('variable=KUBECONFIG')
        }
    }

    @Test
    void sourceCanBeAStash() {
        Jenkins jenkins = new Jenkins("theseusRollout(source: 'manifests')").toTheEnd()
        assert jenkins.steps('checkout') == []
        assert jenkins.steps('unstash').count { it.text('name') == 'manifests' } == jenkins.steps('node').size()
    }

    @Test
    void unknownOptionsAreNamed() {
        ['theseusRollout', 'theseusStage', 'theseusGate', 'theseusRollback', 'theseusReport', 'theseusSetup'].each { brick ->
            Jenkins jenkins = new Jenkins("$brick(confg: 'x')").toTheEnd()
            assert jenkins.pipeline.failure().message.startsWith("$brick: unknown option 'confg'; it takes config, ")
            assert jenkins.steps('node') == []
        }
        assert new Jenkins("theseusRollout(gates: ['pormote'])").toTheEnd().pipeline.failure().message
            .contains("the plan has no step 'pormote'")
    }
}
