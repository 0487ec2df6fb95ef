/** The whole rollout of one service, or of several that go together; see theseusRollout.txt. */
void call(Map given = [:]) {
    List releases = releasesOf(given)
    lock(lockOf(releases)) {
        boolean done = false
        try {
            abreast(releases, true) { Map release -> follow(release) }
            for (Map release : releases) {
                consent(release, release.steps.last())
            }
            for (Map release : releases) {
                perform(release, release.steps.last())
                release.promoted = true
            }
            done = true
        } finally {
            if (!done) {
                abreast(releases, false) { Map release -> putBack(release) }
            }
        }
    }
}

/** One map of options a service. */
private List releasesOf(Map given) {
    Map releases = given.releases ?: [(given.release ?: 'theseus'): [:]]
    Map common = given + [:]
    common.remove('releases')
    List result = []
    for (Object name : new ArrayList(releases.keySet())) {
        Map options = common + releases[name] + [release: name]
        result.add(theseusOptions('theseusRollout', options, [
            lock: '', gates: [], submitter: '', gateLimit: 0, timeLimit: 0,
        ]))
    }
    return result
}

/** All locks are taken at once: two builds that each wait for the other's would wait for ever. */
private Map lockOf(List releases) {
    List names = []
    for (Map release : releases) {
        if (release.lock) {
            names.add(release.lock)
        } else {
            names.add(theseusNode(theseusOptions.of(release)) { theseusCommand('pipeline lock') }.trim())
        }
    }
    Map wanted = [resource: names[0], inversePrecedence: true]
    if (names.size() > 1) {
        List others = []
        for (String name : names.tail()) {
            others.add([resource: name])
        }
        wanted.extra = others
    }
    return wanted
}

private void abreast(List releases, boolean failFast, Closure work) {
    if (releases.size() == 1) {
        work(releases[0])
        return
    }
    Map branches = [failFast: failFast]
    for (Map each : releases) {
        Map release = each
        branches[release.release] = { work(release) }
    }
    parallel(branches)
}

/** The steps come from the plan alone; the last of them is always the promotion. */
private void plan(Map release) {
    stage(titled(release, 'Plan')) {
        String text = theseusNode(theseusOptions.of(release)) { theseusCommand('plan --json') }
        release.steps = new groovy.json.JsonSlurperClassic().parseText(text).steps
        for (String id : release.gates) {
            if (!release.steps.any { it.id == id }) {
                error("theseusRollout: gates: the plan has no step '${id}'")
            }
        }
    }
}

private void follow(Map release) {
    plan(release)
    for (Map step : release.steps.init()) {
        consent(release, step)
        perform(release, step)
    }
}

private void consent(Map release, Map step) {
    if (!step.gate && !release.gates.contains(step.id)) {
        return
    }
    boolean begun = release.begun ? true : false
    stage(titled(release, "Consent: ${step.title}")) {
        step.approver = theseusGate(theseusOptions.of(release) + who(release, step) + [
            step: step.id, message: step.gate?.message, record: begun,
        ])
    }
}

/** Who may consent to a step, and how long they have. */
private Map who(Map release, Map step) {
    Map gate = step.gate ?: [:]
    Map limit = gate.timeout ? [timeLimit: gate.timeout as int, unit: 'SECONDS'] : [:]
    if (release.gateLimit) {
        limit = [timeLimit: release.gateLimit, unit: 'MINUTES']
    }
    return limit + [submitter: gate.submitter ?: release.submitter]
}

private void perform(Map release, Map step) {
    Map limit = [timeLimit: step.limit, unit: 'SECONDS']
    if (release.timeLimit) {
        limit = [timeLimit: release.timeLimit, unit: 'MINUTES']
    }
    boolean unrecorded = step.approver && !release.begun
    release.begun = true
    stage(titled(release, step.title as String)) {
        theseusStage(theseusOptions.of(release) + limit + [
            command: step.argv.join(' '), step: step.id, gate: who(release, step),
        ])
        if (unrecorded) {
            theseusGate.approved(theseusOptions.of(release), step.id as String, step.approver as String)
        }
    }
}

/** Whatever has begun and is not promoted; a failure here leaves the others their way back. */
private void putBack(Map release) {
    if (!release.begun || release.promoted) {
        return
    }
    stage(titled(release, 'Rollback')) {
        catchError(buildResult: 'FAILURE', stageResult: 'FAILURE', catchInterruptions: false) {
            theseusRollback(theseusOptions.of(release) + [attempts: 3])
        }
    }
}

private String titled(Map release, String title) {
    return release.release == 'theseus' ? title : "${release.release}: ${title}".toString()
}
