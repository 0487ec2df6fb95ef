package org.jenkinsci.plugins.workflow.steps;

/** Stand-in with the name and supertype of workflow-step-api's; the cause is its message. */
public class FlowInterruptedException extends InterruptedException {
    private static final long serialVersionUID = 1;

    public FlowInterruptedException(String cause) {
        super(cause);
    }
}
