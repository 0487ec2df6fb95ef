package theseus.cps;

import groovy.lang.Closure;
import groovy.lang.GString;
import java.io.Serializable;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** One step that a pipeline asked for: what Continuable.suspend carries out of the program. */
public final class StepCall implements Serializable {
    private static final long serialVersionUID = 1;

    public final int number;
    public final String name;
    public final Map<String, Object> args = new LinkedHashMap<>();
    public final StepCall parent;
    final int thread;
    Closure<?> body;

    StepCall(int number, String name, Object[] given, StepCall parent, int thread) {
        this.number = number;
        this.name = name;
        this.parent = parent;
        this.thread = thread;
        Steps.Step step = Steps.of(name);
        List<Object> rest = new ArrayList<>(Arrays.asList(given));
        if (!rest.isEmpty() && rest.get(rest.size() - 1) instanceof Closure) {
            body = (Closure<?>) rest.remove(rest.size() - 1);
        }
        if (rest.size() > 1) {
            throw new IllegalArgumentException("Expected named arguments but got " + rest + " for " + name);
        }
        if (rest.size() == 1 && rest.get(0) instanceof Map && !name.equals("checkout")) {
            ((Map<?, ?>) rest.get(0)).forEach((key, value) -> put(step, String.valueOf(key), value));
        } else if (rest.size() == 1) {
            put(step, step.arguments.iterator().next(), rest.get(0));
        }
    }

    private void put(Steps.Step step, String key, Object value) {
        if (!name.equals("parallel") && !step.arguments.contains(key)) {
            throw new IllegalArgumentException("Unknown parameter(s) found for step " + name + ": " + key);
        }
        args.put(key, plain(value));
    }

    private static Object plain(Object value) {
        if (value instanceof GString) {
            return value.toString();
        }
        if (value instanceof List) {
            List<Object> all = new ArrayList<>();
            ((List<?>) value).forEach(one -> all.add(plain(one)));
            return all;
        }
        return value;
    }

    public String text(String argument) {
        Object value = args.get(argument);
        return value == null ? "" : value.toString();
    }

    /** The enclosing block step of that name, null when there is none. */
    public StepCall around(String block) {
        for (StepCall outer = parent; outer != null; outer = outer.parent) {
            if (outer.name.equals(block)) {
                return outer;
            }
        }
        return null;
    }

    /** The folder of its workspace that the enclosing dir blocks lead to. */
    public Path folder() {
        Path outer = parent == null ? Paths.get("") : parent.folder();
        return name.equals("dir") ? outer.resolve(text("path")) : outer;
    }

    /** The environment that the enclosing withEnv and withCredentials blocks make; a credential is its id. */
    public Map<String, String> env() {
        Map<String, String> result = parent == null ? new LinkedHashMap<>() : parent.env();
        if (name.equals("withCredentials")) {
            for (Object binding : (List<?>) args.get("bindings")) {
                Map<?, ?> file = (Map<?, ?>) binding;
                result.put(file.get("variable").toString(), file.get("credentialsId").toString());
            }
        }
        if (name.equals("withEnv")) {
            for (Object pair : (List<?>) args.get("overrides")) {
                String[] parts = pair.toString().split("=", 2);
                result.put(parts[0], parts[1]);
            }
        }
        return result;
    }

    @Override
    public String toString() {
        return name + args;
    }
}
