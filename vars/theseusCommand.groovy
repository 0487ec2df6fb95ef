/** Runs theseus-ci with these words in a workspace that theseusNode has prepared; its output. */
String call(String words) {
    return withEnv(["THESEUS_COMMAND=${words}"]) {
        sh(label: 'theseus-ci', script: libraryResource('theseus/command.sh'), returnStdout: true)
    }
}

/** Runs a step; `limit`, in `unit`, is the time after which it is given up, 0 for never. */
void step(Map options, String words, String name, int limit, String unit) {
    theseusNode(options) {
        boolean passed = false
        try {
            if (limit) {
                timeout(time: limit, unit: unit) {
                    run(options, words, name)
                }
            } else {
                run(options, words, name)
            }
            passed = true
        } finally {
            keep(options, name, passed)
        }
    }
}

void run(Map options, String words, String name) {
    withEnv([
        "THESEUS_COMMAND=${words}",
        "THESEUS_STEP=${name}",
        "THESEUS_REPORTS_DIR=${theseusNode.folder(options)}/reports/${name}",
    ]) {
        sh(label: 'theseus-ci', script: libraryResource('theseus/step.sh'))
    }
}

/** After a failure, a second one (the agent has gone) must not hide the first. */
void keep(Map options, String name, boolean passed) {
    if (passed) {
        theseusReport(options + [step: name])
    } else {
        catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS', catchInterruptions: false) {
            theseusReport(options + [step: name])
        }
    }
}
