package theseus.cps;

import groovy.lang.Binding;
import groovy.lang.Script;
import hudson.AbortException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The shared libraries of a pipeline: their variables and resources. */
final class Libraries {
    private final List<Path> folders;

    Libraries(List<Path> folders) {
        this.folders = folders;
    }

    /** The variable of that name, one for each run of a script; null when there is none. */
    Object variable(Script from, String name, ClassLoader loader) {
        Binding binding = from.getBinding();
        if (binding.hasVariable(name)) {
            return binding.getVariable(name);
        }
        for (Path library : folders) {
            if (Files.exists(library.resolve("vars/" + name + ".groovy"))) {
                try {
                    Script made = (Script) loader.loadClass(name).getDeclaredConstructor().newInstance();
                    made.setBinding(binding);
                    binding.setVariable(name, made);
                    return made;
                } catch (ReflectiveOperationException error) {
                    throw new IllegalStateException("vars/" + name + ".groovy", error);
                }
            }
        }
        return null;
    }

    String resource(String name) {
        for (Path library : folders) {
            Path path = library.resolve("resources").resolve(name);
            if (Files.exists(path)) {
                try {
                    return new String(Files.readAllBytes(path), StandardCharsets.UTF_8);
                } catch (IOException error) {
                    throw new IllegalStateException(error);
                }
            }
        }
        throw Failure.unchecked(new AbortException("No such library resource " + name + " could be found."));
    }
}
