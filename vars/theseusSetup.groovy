/** theseus-ci of the library's own version on this agent; see theseusSetup.txt. */
void call(Map given = [:]) {
    Map options = theseusOptions('theseusSetup', given)
    String version = options.commandVersion ?: libraryResource('theseus/VERSION').trim()
    withEnv([
        "THESEUS_CI_VERSION=${version}",
        "THESEUS_VENV=${folder(options)}",
        "THESEUS_INSTALL=${options.venv ? 'no' : 'yes'}",
        "THESEUS_PYTHON=${options.python}",
        "THESEUS_INDEX=${options.index}",
        "THESEUS_WHEELHOUSE=${options.wheelhouse}",
    ]) {
        timeout(time: 15, unit: 'MINUTES') {
            sh(label: 'set up theseus-ci', script: libraryResource('theseus/setup.sh'))
        }
    }
}

String folder(Map options) {
    return options.venv ?: '.theseus/venv'
}
