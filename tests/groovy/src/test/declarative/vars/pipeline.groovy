import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** Runs what the declarative pipelines of this repository are made of. It refuses what it does not know, but it is
    no substitute for Jenkins' own validation. */
void call(Closure body) {
    Section pipeline = new Section(script: this, name: '')
    pipeline.read(body)
    pipeline.check()
    pipeline.execute()
}

/** The pipeline, or a stage of it. */
class Section implements Serializable {
    Script script
    String name
    Map parts = [:]
    List stages = []
    String any = ''
    String none = 'none'

    void read(Closure body) {
        Within.of(body, this)
    }

    void agent(Object where) { once('agent', where instanceof Closure ? new Agent().read(where) : where) }
    void options(Closure body) { once('options', new Options().read(body)) }
    void environment(Closure body) { once('environment', body) }
    void steps(Closure body) { once('steps', body) }
    void post(Closure body) { once('post', new Post().read(body)) }
    void stages(Closure body) { once('stages', true); read(body) }

    void stage(String title, Closure body) {
        if (!parts.stages) {
            throw new IllegalStateException("stage '${title}' outside stages")
        }
        Section inner = new Section(script: script, name: title)
        inner.read(body)
        inner.check()
        stages.add(inner)
    }

    private void once(String part, Object value) {
        if (parts.containsKey(part)) {
            throw new IllegalStateException("Multiple occurrences of the ${part} section")
        }
        parts[part] = value
    }

    void check() {
        if (parts.containsKey('steps') == parts.containsKey('stages')) {
            throw new IllegalStateException("'${name}' needs one of steps and stages")
        }
        if (!name && (!parts.containsKey('agent') || parts.steps)) {
            throw new IllegalStateException('a pipeline needs an agent, and has its steps in stages')
        }
    }

    void execute() {
        if (name) {
            script.stage(name) { within(parts.options ? parts.options.wrappers : [], 0) }
        } else {
            within(parts.options ? parts.options.wrappers : [], 0)
        }
    }

    /** Options are around all of a stage, its post included. */
    private void within(List wrappers, int next) {
        if (next < wrappers.size()) {
            Map wrapper = wrappers[next]
            if (wrapper.step == 'lock') {
                script.lock(wrapper.arguments) { within(wrappers, next + 1) }
            } else {
                script.timeout(wrapper.arguments) { within(wrappers, next + 1) }
            }
        } else if (parts.agent == null || parts.agent == none) {
            work()
        } else {
            script.node(parts.agent) {
                script.checkout(script.scm)
                work()
            }
        }
    }

    private void work() {
        Map variables = [:]
        if (parts.environment) {
            Within.of(parts.environment, variables)
        }
        List pairs = []
        for (Object key : new ArrayList(variables.keySet())) {
            pairs.add("${key}=${variables[key]}".toString())
        }
        script.withEnv(pairs) {
            String outcome = 'SUCCESS'
            try {
                body()
                outcome = script.currentBuild.currentResult
            } catch (FlowInterruptedException interruption) {
                outcome = 'ABORTED'
                throw interruption
            } catch (Exception failure) {
                outcome = 'FAILURE'
                throw failure
            } finally {
                if (parts.post) {
                    parts.post.after(outcome, script)
                }
            }
        }
    }

    private void body() {
        if (parts.steps) {
            Within.of(parts.steps, script)
        }
        String from = name ? '' : script.currentBuild.restartedFrom
        if (from && !stages.any { it.name == from }) {
            throw new IllegalStateException("no outermost stage to restart from is named '${from}'")
        }
        for (Section inner : stages) {
            if (inner.name == from) {
                from = ''
            }
            if (from) {
                skip(inner.name, from)
            } else {
                inner.execute()
            }
        }
    }

    /** Neither its steps nor its post. */
    private void skip(String title, String from) {
        script.stage(title) {
            script.echo("Stage \"${title}\" skipped due to this build restarting at stage \"${from}\"")
        }
    }
}

class Agent implements Serializable {
    String label

    String read(Closure body) {
        Within.of(body, this)
        return label
    }

    void label(String name) { label = name }
}

class Options implements Serializable {
    List wrappers = []

    Options read(Closure body) {
        Within.of(body, this)
        return this
    }

    void lock(Map arguments) { wrappers.add([step: 'lock', arguments: arguments]) }
    void timeout(Map arguments) { wrappers.add([step: 'timeout', arguments: arguments]) }
    void buildDiscarder(Object rotator) { }
    Object logRotator(Map arguments) { return arguments }
}

class Post implements Serializable {
    Map conditions = [:]

    Post read(Closure body) {
        Within.of(body, this)
        return this
    }

    void always(Closure body) { conditions.always = body }
    void aborted(Closure body) { conditions.aborted = body }
    void failure(Closure body) { conditions.failure = body }
    void success(Closure body) { conditions.success = body }
    void unstable(Closure body) { conditions.unstable = body }
    void unsuccessful(Closure body) { conditions.unsuccessful = body }
    void cleanup(Closure body) { conditions.cleanup = body }

    void after(String outcome, Script script) {
        List due = ['always', outcome.toLowerCase()]
        if (outcome != 'SUCCESS') {
            due.add('unsuccessful')
        }
        due.add('cleanup')
        for (String condition : due) {
            if (conditions[condition]) {
                Within.of(conditions[condition], script)
            }
        }
    }
}

/** A block whose words mean what somebody says they mean. */
class Within implements Serializable {
    static Object of(Closure body, Object owner) {
        body.delegate = owner
        body.resolveStrategy = Closure.DELEGATE_FIRST
        return body()
    }
}
