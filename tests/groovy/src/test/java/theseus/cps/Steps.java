package theseus.cps;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;

/** The steps that the library may use, and the arguments that each of them has in Jenkins. */
final class Steps {
    enum Kind { AT_ONCE, LEAF, BLOCK }

    private static final Map<String, Step> ALL = new LinkedHashMap<>();

    static {
        add("echo", Kind.AT_ONCE, false, "message");
        add("error", Kind.AT_ONCE, false, "message");
        add("libraryResource", Kind.AT_ONCE, false, "resource", "encoding");
        add("sh", Kind.LEAF, true, "script", "label", "returnStdout", "returnStatus", "encoding");
        add("checkout", Kind.LEAF, true, "scm", "poll", "changelog");
        add("junit", Kind.LEAF, true, "testResults", "allowEmptyResults", "keepProperties",
            "skipPublishingChecks", "skipMarkingBuildUnstable");
        add("archiveArtifacts", Kind.LEAF, true, "artifacts", "allowEmptyArchive", "fingerprint");
        add("stash", Kind.LEAF, true, "name", "includes", "excludes", "allowEmpty");
        add("unstash", Kind.LEAF, true, "name");
        add("publishHTML", Kind.LEAF, true, "target");
        add("input", Kind.LEAF, false, "id", "message", "ok", "submitter", "submitterParameter", "parameters");
        add("node", Kind.BLOCK, false, "label");
        add("stage", Kind.BLOCK, false, "name");
        add("timeout", Kind.BLOCK, false, "time", "unit", "activity");
        add("lock", Kind.BLOCK, false, "resource", "extra", "inversePrecedence", "label", "quantity");
        add("retry", Kind.BLOCK, false, "count", "conditions");
        add("catchError", Kind.BLOCK, false, "message", "buildResult", "stageResult", "catchInterruptions");
        add("withEnv", Kind.BLOCK, false, "overrides");
        add("withCredentials", Kind.BLOCK, false, "bindings");
        add("dir", Kind.BLOCK, true, "path");
        add("script", Kind.BLOCK, false);
        add("parallel", Kind.BLOCK, false);
        add("timestamps", Kind.BLOCK, false);
    }

    final static class Step {
        final Kind kind;
        final boolean needsNode;
        final Set<String> arguments;

        Step(Kind kind, boolean needsNode, Set<String> arguments) {
            this.kind = kind;
            this.needsNode = needsNode;
            this.arguments = arguments;
        }
    }

    private Steps() {
    }

    /** The step of that name, null when there is none. */
    static Step of(String name) {
        return ALL.get(name);
    }

    private static void add(String name, Kind kind, boolean needsNode, String... arguments) {
        ALL.put(name, new Step(kind, needsNode, new LinkedHashSet<>(Arrays.asList(arguments))));
    }
}
