/** One step of a rollout; see theseusStage.txt. */
void call(Map given) {
    Map options = theseusOptions('theseusStage', given, [
        command: '', step: '', timeLimit: 120, unit: 'MINUTES', lock: '',
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
    theseusCommand.step(
        theseusOptions.of(options), options.command as String, name, options.timeLimit as int, options.unit as String
    )
}
