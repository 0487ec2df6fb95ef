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
    ]
    if (options.submitter) {
        asked.submitter = options.submitter
    }
    echo(question)
    String approver = timeout(time: options.timeLimit as int, unit: options.unit as String) {
        input(asked)
    }
    if (options.record) {
        approved(shared, options.step as String, approver)
    }
    return approver
}

/** Writes down who consented. */
void approved(Map options, String name, String approver) {
    theseusNode(options) {
        withEnv([
            "THESEUS_COMMAND=pipeline approve ${name}",
            "THESEUS_APPROVED_BY=${approver}",
            "THESEUS_STEP=${name}-gate",
            "THESEUS_REPORTS_DIR=${theseusNode.folder(options)}/reports/${name}-gate",
        ]) {
            sh(label: 'theseus-ci', script: libraryResource('theseus/step.sh'))
        }
        theseusReport(options + [step: "${name}-gate".toString()])
    }
}
