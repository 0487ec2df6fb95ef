/** One step of a rollout; see theseusStage.txt. */
void call(Map given) {
    Map options = theseusOptions('theseusStage', given, [
        command: '', step: '', timeLimit: 120, unit: 'MINUTES', lock: '', gate: [:],
    ])
    if (!options.command) {
        error('theseusStage: say which command, such as theseusStage(command: "smoke")')
    }
    if (options.lock) {
        lock(resource: options.lock, inversePrecedence: true) { perform(options) }
    } else {
        perform(options)
    }
}

private void perform(Map options) {
    String name = options.step ?: options.command.replaceAll('[^A-Za-z0-9]+', '-')
    Map shared = theseusOptions.of(options)
    String open = theseusStep(
        shared, options.command as String, name, options.timeLimit as int, options.unit as String
    )
    if (open) { // onInconclusive: gate; who refuses ends the build, as at any gate
        theseusGate(shared + [ok: 'Accept it'] + options.gate + [step: open])
    }
}
