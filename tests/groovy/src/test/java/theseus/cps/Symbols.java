package theseus.cps;

import java.io.Serializable;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** What is written like a step and is only a value: the conditions of retry, the bindings of credentials. */
final class Symbols {
    static final Set<String> NAMES =
        new HashSet<>(Arrays.asList("agent", "nonresumable", "file", "logRotator"));
    static final String AGENT = "agent()";

    private Symbols() {
    }

    static Serializable of(String name, Object[] given) {
        if (given.length == 1 && given[0] instanceof Map) {
            LinkedHashMap<String, Object> value = new LinkedHashMap<>();
            value.put("symbol", name);
            ((Map<?, ?>) given[0]).forEach((key, one) -> value.put(String.valueOf(key), one));
            return value;
        }
        return name + "()";
    }
}
