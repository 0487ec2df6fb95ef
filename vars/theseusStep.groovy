/** Runs a step, given up after `limit` in `unit`, 0 for never; the id of the step that waits for a decision, or ''. */
String call(Map options, String words, String name, int limit, String unit, List more = []) {
    return theseusNode(options) {
        int code = -1
        String open = ''
        try {
            if (limit) {
                timeout(time: limit, unit: unit) { code = launch(options, words, name, more) }
            } else {
                code = launch(options, words, name, more)
            }
            open = code == 3 && words.startsWith('performance') ? undecided() : ''
        } finally {
            keep(options + [step: name, undecided: open != ''], words, code == 0)
        }
        if (code && !open) {
            error("script returned exit code ${code}")
        }
        return open
    }
}

/** Nothing when that cannot be told: the step has then failed as any other. */
private String undecided() {
    String step = ''
    theseusCommand.quietly { step = theseusCommand('pipeline undecided').trim() }
    return step
}

private int launch(Map options, String words, String name, List more) {
    return withEnv(more + [
        "THESEUS_COMMAND=${words}",
        "THESEUS_STEP=${name}",
        "THESEUS_REPORTS_DIR=${theseusNode.folder(options)}/reports/${name}",
    ]) {
        return sh(label: 'theseus-ci', script: libraryResource('theseus/step.sh'), returnStatus: true)
    }
}

/** After a failure, a second one (the agent has gone) must not hide the first. */
private void keep(Map options, String words, boolean passed) {
    String command = words.tokenize()[0]
    Map report = options + [publish: command in ['rollback', 'run'] || (passed && command == 'promote')]
    if (passed || options.undecided) {
        theseusReport(report)
    } else {
        theseusCommand.quietly { theseusReport(report) }
    }
}
