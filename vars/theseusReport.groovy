/** Shows and keeps what a step has left in this workspace; see theseusReport.txt. */
void call(Map given) {
    Map options = theseusOptions('theseusReport', given, [step: ''])
    dir(theseusNode.folder(options)) {
        junit(testResults: "reports/${options.step}/*.xml", allowEmptyResults: false, keepProperties: true)
        String kept = "theseus-state.json,reports/${options.step}/**"
        archiveArtifacts(artifacts: kept, allowEmptyArchive: true)
        stash(name: "theseus-${options.release}-${options.step}", includes: kept, allowEmpty: true)
    }
}
