package org.jenkinsci.plugins.workflow.steps;

import java.util.Arrays;
import java.util.List;
import jenkins.model.CauseOfInterruption;

/** Stand-in with the name and supertype of workflow-step-api's; like that one it has no message. */
public class FlowInterruptedException extends InterruptedException {
    private static final long serialVersionUID = 1;
    private final List<CauseOfInterruption> causes;

    public FlowInterruptedException(CauseOfInterruption... causes) {
        this.causes = Arrays.asList(causes);
    }

    public List<CauseOfInterruption> getCauses() {
        return causes;
    }
}
