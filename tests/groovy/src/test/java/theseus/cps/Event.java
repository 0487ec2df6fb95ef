package theseus.cps;

/** A step began, or (`end`) a block ended, with `failure` or without. */
public final class Event {
    public final StepCall step;
    public final boolean end;
    public final Throwable failure;

    Event(StepCall step, boolean end, Throwable failure) {
        this.step = step;
        this.end = end;
        this.failure = failure;
    }

    @Override
    public String toString() {
        return (end ? "end " : "") + step + (failure == null ? "" : " <- " + failure);
    }
}
