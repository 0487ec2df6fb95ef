package theseus.cps;

/** Throws a checked exception where Groovy allows it and Java does not. */
final class Failure {
    private Failure() {
    }

    @SuppressWarnings("unchecked")
    static <T extends Throwable> RuntimeException unchecked(Throwable failure) throws T {
        throw (T) failure;
    }
}
