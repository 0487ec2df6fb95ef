/** Runs theseus-ci with these words in a workspace that theseusNode has prepared; its output. */
String call(String words) {
    return withEnv(["THESEUS_COMMAND=${words}"]) {
        timeout(time: 10, unit: 'MINUTES') {
            sh(label: 'theseus-ci', script: libraryResource('theseus/command.sh'), returnStdout: true)
        }
    }
}

/** Runs a step; `limit`, in `unit`, is the time after which it is given up, 0 for never. */
void step(Map options, String words, String name, int limit, String unit, List more = []) {
    theseusNode(options) {
        boolean passed = false
        try {
            if (limit) {
                timeout(time: limit, unit: unit) { launch(options, words, name, more) }
            } else {
                launch(options, words, name, more)
            }
            passed = true
        } finally {
            keep(options, words, name, passed)
        }
    }
}

private void launch(Map options, String words, String name, List more) {
    withEnv(more + [
        "THESEUS_COMMAND=${words}",
        "THESEUS_STEP=${name}",
        "THESEUS_REPORTS_DIR=${theseusNode.folder(options)}/reports/${name}",
    ]) {
        sh(label: 'theseus-ci', script: libraryResource('theseus/step.sh'))
    }
}

/** After a failure, a second one (the agent has gone) must not hide the first. */
private void keep(Map options, String words, String name, boolean passed) {
    String command = words.tokenize()[0]
    boolean ended = command in ['rollback', 'run'] || (passed && command == 'promote')
    Map report = options + [step: name, publish: ended]
    if (passed) {
        theseusReport(report)
    } else {
        quietly { theseusReport(report) }
    }
}

/** Both, whatever comes of the first; a second failure (the agent has gone) must not hide it. */
void both(Closure first, Closure second) {
    boolean passed = false
    try {
        first()
        passed = true
    } finally {
        if (passed) {
            second()
        } else {
            quietly(second)
        }
    }
}

/** Says what went wrong in `body`, and goes on: a release is not decided by it. An abort passes. */
void quietly(Closure body) {
    catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS', catchInterruptions: false) {
        body()
    }
}
