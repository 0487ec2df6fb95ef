/** Runs `body` on an agent that is ready for theseus-ci; once more elsewhere when the agent is lost. */
def call(Map options, Closure body) {
    return retry(count: options.attempts as int, conditions: [agent(), nonresumable()]) {
        node(options.label as String) {
            if (options.source == 'scm') {
                checkout(scm)
            } else {
                unstash(options.source as String)
            }
            theseusSetup(options)
            List credentials = []
            if (options.credentialsId) {
                credentials.add(file(credentialsId: options.credentialsId, variable: 'KUBECONFIG'))
            }
            withCredentials(credentials) {
                withEnv(environment(options)) {
                    body()
                }
            }
        }
    }
}

/** What one build leaves; of its own, since old files must not be taken for new. */
String builds() {
    return ".theseus/build-${env.BUILD_NUMBER}"
}

/** What one build leaves of one release. */
String folder(Map options) {
    return "${builds()}/${options.release}"
}

List environment(Map options) {
    List result = []
    for (Object name : new ArrayList(options.environment.keySet())) {
        result.add("${name}=${options.environment[name]}".toString())
    }
    if (options.version) {
        result.add("THESEUS_VERSION=${options.version}".toString())
    }
    if (options.manifest) {
        result.add("THESEUS_MANIFEST=${options.manifest}".toString())
    }
    result.add("THESEUS_CONFIG=${options.config}".toString())
    result.add("THESEUS_VENV=${theseusSetup.folder(options)}".toString())
    result.add("THESEUS_STATE=${folder(options)}/theseus-state.json".toString())
    result.add("THESEUS_PAGE=artifact/${options.release}/reports/html/index.html".toString())
    return result
}
