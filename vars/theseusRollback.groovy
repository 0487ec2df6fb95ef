/** Puts everything back; see theseusRollback.txt. Nothing limits its time: half a way back is no way. */
void call(Map given = [:]) {
    Map options = theseusOptions('theseusRollback', given, [takeOver: false])
    String words = options.takeOver ? 'rollback --take-over' : 'rollback --own'
    theseusStep(theseusOptions.of(options), words, 'rollback', 0, '')
}
