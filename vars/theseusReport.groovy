/** Shows and keeps what a step has left in this workspace; see theseusReport.txt. */
void call(Map given) {
    Map options = theseusOptions('theseusReport', given, [step: '', publish: false, undecided: false])
    theseusCommand.both({ show(options) }) {
        theseusCommand.both({ theseusCommand.quietly { page(options) } }) { keep(options) }
    }
    if (options.publish) {
        theseusCommand.quietly { publish(options) }
    }
}

private void show(Map options) {
    dir(theseusNode.builds()) {
        junit(
            testResults: "${reports(options)}/*.xml", allowEmptyResults: false, keepProperties: true,
            skipMarkingBuildUnstable: options.undecided
        )
    }
}

private String reports(Map options) {
    return "${options.release}/reports/${options.step}"
}

private void keep(Map options) {
    String state = "${options.release}/theseus-state.json"
    String page = "${options.release}/reports/html"
    dir(theseusNode.builds()) {
        archiveArtifacts(artifacts: "${state},${reports(options)}/**,${page}/**", allowEmptyArchive: true)
        stash(name: "theseus.${options.release}", includes: state, allowEmpty: true)
        stash(name: "theseus.${options.release}.${options.step}", includes: "${reports(options)}/**", allowEmpty: true)
    }
}

/** The whole rollout as one page; at its end with the evidence of all steps, wherever they ran. */
private void page(Map options) {
    withEnv(theseusNode.environment(options) + ["THESEUS_REPORTS_DIR=${theseusNode.folder(options)}/reports"]) {
        if (options.publish) {
            for (String step : theseusCommand('pipeline absent').tokenize()) {
                theseusCommand.quietly {
                    dir(theseusNode.builds()) { unstash("theseus.${options.release}.${step}") }
                }
            }
        }
        theseusCommand('report')
    }
}

private void publish(Map options) {
    String name = options.release == 'theseus' ? 'Rollout' : "Rollout ${options.release}"
    try {
        publishHTML(target: [
            reportName: name, reportDir: "${theseusNode.folder(options)}/reports/html", reportFiles: 'index.html',
            keepAll: true, alwaysLinkToLastBuild: true, allowMissing: true,
        ])
    } catch (NoSuchMethodError absent) {
        echo("${name}: HTML Publisher is not installed; the page is the artefact ${options.release}/reports/html/index.html")
    }
}
