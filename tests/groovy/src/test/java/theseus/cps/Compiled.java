package theseus.cps;

import com.cloudbees.groovy.cps.CpsTransformer;
import com.cloudbees.groovy.cps.TransformerConfiguration;
import groovy.lang.GroovyClassLoader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.codehaus.groovy.control.CompilationUnit;
import org.codehaus.groovy.control.CompilerConfiguration;
import org.codehaus.groovy.control.Phases;
import org.codehaus.groovy.control.customizers.ImportCustomizer;
import org.codehaus.groovy.tools.GroovyClass;

/** The classes of a pipeline and of its library, compiled as Jenkins does it; every text only once. */
final class Compiled {
    static final String MAIN = "WorkflowScript";
    private static final Map<String, Map<String, byte[]>> CACHE = new ConcurrentHashMap<>();

    private final Map<String, byte[]> classes = new HashMap<>();

    Compiled(String source, List<Path> libraries) throws IOException {
        classes.putAll(compiled(MAIN, source));
        for (Path library : libraries) {
            try (Stream<Path> files = Files.list(library.resolve("vars"))) {
                files.filter(file -> file.toString().endsWith(".groovy")).forEach(this::add);
            }
        }
    }

    /** Classes that no other loader shares, as after a start of the controller. */
    ClassLoader loader() {
        return new ClassLoader(Compiled.class.getClassLoader()) {
            @Override
            protected Class<?> findClass(String name) throws ClassNotFoundException {
                byte[] code = classes.get(name);
                if (code == null) {
                    throw new ClassNotFoundException(name);
                }
                return defineClass(name, code, 0, code.length);
            }
        };
    }

    private void add(Path file) {
        try {
            String name = file.getFileName().toString().replace(".groovy", "");
            classes.putAll(compiled(name, new String(Files.readAllBytes(file), StandardCharsets.UTF_8)));
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Each file is a unit of its own: in one unit a variable would be taken for the class of that name. */
    private static Map<String, byte[]> compiled(String name, String text) {
        return CACHE.computeIfAbsent(name + "\n" + text, key -> {
            CompilerConfiguration configuration = new CompilerConfiguration();
            ImportCustomizer imports = new ImportCustomizer();
            imports.addStarImports("com.cloudbees.groovy.cps", "hudson.model", "jenkins.model");
            imports.addImports("theseus.cps.Library");
            CpsTransformer transformer = new CpsTransformer();
            transformer.setConfiguration(new TransformerConfiguration());
            configuration.addCompilationCustomizers(imports, transformer);
            configuration.setScriptBaseClass(PipelineScript.class.getName());
            GroovyClassLoader parent = new GroovyClassLoader(Compiled.class.getClassLoader());
            CompilationUnit unit = new CompilationUnit(configuration, null, parent);
            unit.addSource(name + ".groovy", text);
            unit.compile(Phases.CLASS_GENERATION);
            Map<String, byte[]> result = new HashMap<>();
            for (Object made : unit.getClasses()) {
                result.put(((GroovyClass) made).getName(), ((GroovyClass) made).getBytes());
            }
            return result;
        });
    }
}
