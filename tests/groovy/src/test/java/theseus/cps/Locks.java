package theseus.cps;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The lockable resources of one Jenkins, which several builds want. */
public final class Locks {
    private final Map<String, String> holders = new LinkedHashMap<>();

    /** Takes all that the step wants, or nothing. */
    synchronized boolean take(Pipeline build, StepCall step) {
        List<String> wanted = wanted(step);
        if (wanted.stream().anyMatch(holders::containsKey)) {
            return false;
        }
        wanted.forEach(name -> holders.put(name, key(build, step)));
        return true;
    }

    synchronized void release(Pipeline build, StepCall step) {
        holders.values().removeIf(key(build, step)::equals);
    }

    private static String key(Pipeline build, StepCall step) {
        return System.identityHashCode(build) + " " + step.number;
    }

    private static List<String> wanted(StepCall step) {
        List<String> names = new ArrayList<>();
        names.add(step.text("resource"));
        Object extra = step.args.get("extra");
        if (extra != null) {
            ((List<?>) extra).forEach(one -> names.add(String.valueOf(((Map<?, ?>) one).get("resource"))));
        }
        return names;
    }
}
