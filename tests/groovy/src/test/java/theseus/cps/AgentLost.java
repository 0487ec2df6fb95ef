package theseus.cps;

import jenkins.model.CauseOfInterruption;
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException;

/** The agent under a step has gone; every later step on it fails in the same way. */
public final class AgentLost extends FlowInterruptedException {
    private static final long serialVersionUID = 1;

    public AgentLost() {
        super(new Removed());
    }

    private static final class Removed extends CauseOfInterruption {
        private static final long serialVersionUID = 1;

        @Override
        public String getShortDescription() {
            return "Agent was removed";
        }
    }
}
