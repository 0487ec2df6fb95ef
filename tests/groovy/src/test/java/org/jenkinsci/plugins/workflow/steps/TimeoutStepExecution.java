package org.jenkinsci.plugins.workflow.steps;

import jenkins.model.CauseOfInterruption;

/** Stand-in with the name of workflow-basic-steps'. */
public final class TimeoutStepExecution {
    private TimeoutStepExecution() {
    }

    /** A `timeout` block has ended what was in it. */
    public static final class ExceededTimeout extends CauseOfInterruption {
        private static final long serialVersionUID = 1;

        @Override
        public String getShortDescription() {
            return "Timeout has been exceeded";
        }
    }
}
