package theseus.cps;

import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** The agent under a step has gone; every later step on it fails in the same way. */
public final class AgentLost extends FlowInterruptedException {
    private static final long serialVersionUID = 1;

    public AgentLost() {
        super("the agent was lost");
    }
}
