import jenkins.model.CauseOfInterruption
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.jenkinsci.plugins.workflow.steps.TimeoutStepExecution
import org.jenkinsci.plugins.workflow.support.steps.input.Rejection

/** Asks people for consent, holding no executor while they think; see theseusGate.txt. */
String call(Map given) {
    Map options = theseusOptions('theseusGate', given, [
        step: 'promote', message: '', ok: 'Go on', submitter: '', timeLimit: 1440, unit: 'MINUTES', record: true,
    ])
    Map shared = theseusOptions.of(options)
    String question = theseusNode(shared) {
        withEnv(["THESEUS_GATE_MESSAGE=${options.message}"]) {
            theseusCommand("pipeline question ${options.step}")
        }
    }
    Map asked = [
        id: "Theseus-${options.release}-${options.step}".toString(),
        message: question.trim(),
        ok: options.ok,
        submitterParameter: 'approver',
    ] + (options.submitter ? [submitter: options.submitter] : [:])
    echo(question)
    String approver = answer(options, shared, asked)
    if (options.record) {
        approved(shared, options.step as String, approver)
    }
    return approver
}

private String answer(Map options, Map shared, Map asked) {
    try {
        return timeout(time: options.timeLimit as int, unit: options.unit as String) {
            input(asked)
        }
    } catch (FlowInterruptedException refusal) {
        if (options.record) {
            Map said = told(refusal, "no answer in ${options.timeLimit} ${options.unit.toLowerCase()}")
            theseusCommand.quietly { record(shared, 'refuse', options.step as String, said) }
        }
        throw refusal
    }
}

/** Who ended the wait, and why, as far as Jenkins tells: in a sandbox it tells less. */
private Map told(FlowInterruptedException refusal, String expired) {
    Map said = [by: '', why: '']
    try {
        for (CauseOfInterruption cause : refusal.causes) {
            said.why = cause instanceof TimeoutStepExecution.ExceededTimeout ? expired : cause.shortDescription
            if (cause instanceof Rejection || cause instanceof CauseOfInterruption.UserInterruption) {
                said.by = cause.user?.id ?: ''
            }
        }
    } catch (SecurityException untold) {
        echo("theseusGate: Jenkins does not tell who answered: ${untold.message}")
    }
    return said
}

/** Writes down who consented. */
void approved(Map options, String name, String approver) {
    record(options, 'approve', name, [by: approver, why: ''])
}

private void record(Map options, String act, String name, Map said) {
    List environment = ["THESEUS_ANSWERED_BY=${said.by}", "THESEUS_ANSWER_COMMENT=${said.why}"]
    theseusStep(options, "pipeline ${act} ${name}", "${name}-gate", 10, 'MINUTES', environment)
}
