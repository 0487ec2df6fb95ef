package theseus

import groovy.io.FileType
import hudson.AbortException
import java.nio.file.FileSystems
import java.nio.file.Files
import java.nio.file.Path
import java.nio.file.StandardCopyOption
import java.util.concurrent.TimeUnit
import theseus.cps.AgentLost
import theseus.cps.Pipeline
import theseus.cps.StepCall

/** A Jenkins whose shell steps really run: every `node` is another agent, with an empty workspace. */
class Agents extends Jenkins {
    private static final int LIMIT_SECONDS = 300
    /** The repository of the service, its kubeconfig, and where agents and archives are kept. */
    final Path repository
    final Path kubeconfig
    final Path work
    final int number
    /** Words of a command, and the text in its output upon which the build is aborted or the agent lost. */
    final Map<String, String> abortAt = [:]
    final Map<String, String> loseAt = [:]
    /** Commands that run on where no agent is any more. */
    final List<Process> orphans = []

    Agents(String source, int number, Map<String, Path> places) {
        super(source, number)
        this.number = number
        repository = places.repository
        kubeconfig = places.kubeconfig
        work = places.work
    }

    Path archive() {
        made(work.resolve("archive-$number"))
    }

    @Override
    protected Object answer(StepCall step) {
        switch (step.name) {
            case 'input':
                return Pipeline.PENDING
            case 'sh':
                return shell(step)
            case 'checkout':
                return copy(repository, here(step), ['**'])
            case 'junit':
                return results(step)
            case 'archiveArtifacts':
                return copy(here(step), archive(), patterns(step.text('artifacts')))
            case 'stash':
                return copy(here(step), stashed(step), patterns(step.text('includes')))
            case 'unstash':
                if (!Files.exists(stash(step))) {
                    throw new AbortException("No such saved stash ‘${step.text('name')}’")
                }
                return copy(stash(step), here(step), ['**'])
            case 'publishHTML':
                Path page = here(step).resolve(step.args.target.reportDir as String)
                return copy(page, made(work.resolve("published-$number")), ['**'])
            default:
                throw new IllegalStateException("no agent can do this: $step")
        }
    }

    // -- shell ----------------------------------------------------------------------------------

    private Object shell(StepCall step) {
        Path script = Files.createTempFile(work, 'script', '.sh')
        script.toFile().text = step.text('script')
        Path log = Files.createTempFile(work, 'log', '.txt')
        Path output = step.args.returnStdout ? Files.createTempFile(work, 'out', '.txt') : log
        // a session of its own: an abort reaches all of its processes and nobody else
        ProcessBuilder builder = new ProcessBuilder('setsid', 'sh', script.toString())
        builder.directory(here(step).toFile()).redirectErrorStream(output == log)
        builder.redirectOutput(ProcessBuilder.Redirect.appendTo(output.toFile()))
        if (output != log) {
            builder.redirectError(ProcessBuilder.Redirect.appendTo(log.toFile()))
        }
        environment(builder, step)
        Process process = builder.start()
        String words = command(step)
        if (abortAt.containsKey(words)) {
            await(log, abortAt.remove(words), process)
            ['kill', '-TERM', '--', "-${process.pid()}"].execute().waitFor()
            ended(process, log)
            throw aborted('carol')
        }
        if (loseAt.containsKey(words)) {
            await(log, loseAt.remove(words), process)
            orphans.add(process)
            throw new AgentLost()
        }
        int code = ended(process, log)
        println("build $number: $words: exit $code")
        if (step.args.returnStatus) {
            return code
        }
        if (code) {
            println(log.toFile().text)
            throw new AbortException("script returned exit code $code")
        }
        step.args.returnStdout ? output.toFile().getText('UTF-8') : null
    }

    private void environment(ProcessBuilder builder, StepCall step) {
        Map<String, String> whole = builder.environment()
        whole.keySet().retainAll(['PATH', 'HOME', 'LANG'])
        whole.putAll(step.env())
        whole.BUILD_NUMBER = number as String
        whole.BUILD_URL = "http://jenkins.example.com/job/web/$number/".toString()
        if (whole.KUBECONFIG == 'cluster') {
            whole.KUBECONFIG = kubeconfig.toString()
        }
    }

    private static int ended(Process process, Path log) {
        if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly()
            throw new IllegalStateException("it does not end; it said:\n${log.toFile().text}")
        }
        process.exitValue()
    }

    private static void await(Path log, String words, Process process) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(LIMIT_SECONDS)
        while (!log.toFile().text.contains(words)) {
            if (!process.alive || System.nanoTime() > deadline) {
                throw new IllegalStateException("it never said '$words':\n${log.toFile().text}")
            }
            Thread.sleep(20)
        }
    }

    int endOfOrphan() {
        Process process = orphans.remove(0)
        assert process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)
        process.exitValue()
    }

    // -- files ----------------------------------------------------------------------------------

    private Path here(StepCall step) {
        made(work.resolve("agent-$number-${step.around('node').number}").resolve(step.folder()))
    }

    private Path stash(StepCall step) {
        work.resolve("stash-$number").resolve(step.text('name'))
    }

    private Path stashed(StepCall step) {
        stash(step).toFile().deleteDir()
        made(stash(step))
    }

    /** The junit step: nothing to read is an error, a failed case makes the build unstable. */
    private Object results(StepCall step) {
        List<Path> files = matching(here(step), patterns(step.text('testResults')))
        if (!files) {
            throw new AbortException('No test report files were found. Configuration error?')
        }
        boolean bad = files.any { here(step).resolve(it).toFile().text =~ /<(failure|error)[ >\/]/ }
        if (bad && !step.args.skipMarkingBuildUnstable) {
            pipeline.build().worsen('UNSTABLE')
        }
        null
    }

    private static List<String> patterns(String text) {
        text.split(',') as List
    }

    private static List<Path> matching(Path root, List<String> patterns) {
        List found = patterns.collect { FileSystems.default.getPathMatcher("glob:$it") }
        List<Path> files = []
        root.toFile().eachFileRecurse(FileType.FILES) { file ->
            Path path = root.relativize(file.toPath())
            if (found.any { it.matches(path) }) {
                files.add(path)
            }
        }
        files
    }

    private static Object copy(Path from, Path to, List<String> patterns) {
        matching(from, patterns).each {
            made(to.resolve(it).parent)
            Files.copy(from.resolve(it), to.resolve(it), StandardCopyOption.REPLACE_EXISTING)
        }
        null
    }

    private static Path made(Path folder) {
        Files.createDirectories(folder)
    }
}
