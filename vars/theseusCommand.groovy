/** Runs theseus-ci with these words in a workspace that theseusNode has prepared; its output. */
String call(String words) {
    return withEnv(["THESEUS_COMMAND=${words}"]) {
        timeout(time: 10, unit: 'MINUTES') {
            sh(label: 'theseus-ci', script: libraryResource('theseus/command.sh'), returnStdout: true)
        }
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
