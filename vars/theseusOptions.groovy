/** The options of one brick: refuses what it does not know, fills in what was not given. */
Map call(String brick, Map given, Map own = [:]) {
    Map options = shared() + own
    for (Object name : new ArrayList(given.keySet())) {
        if (!options.containsKey(name)) {
            error("${brick}: unknown option '${name}'; it takes ${options.keySet().join(', ')}")
        }
        if (given[name] != null) {
            options[name] = given[name]
        }
    }
    if (!(options.release ==~ '[A-Za-z0-9_-]+')) { // names folders, stashes and gates
        error("${brick}: release '${options.release}': letters, digits, _ and - only")
    }
    return options
}

/** Those options that every brick takes, with their values in `options`. */
Map of(Map options) {
    return options.subMap(shared().keySet())
}

Map shared() {
    return [
        config: 'theseus.yaml',
        release: 'theseus',
        version: '',
        manifest: '',
        environment: [:],
        credentialsId: '',
        label: '',
        source: 'scm',
        attempts: 2,
        commandVersion: '',
        index: '',
        wheelhouse: '',
        python: 'python3',
        venv: '',
    ]
}
