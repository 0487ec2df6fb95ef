package org.jenkinsci.plugins.workflow.support.steps.input;

import hudson.model.User;
import jenkins.model.CauseOfInterruption;

/** Stand-in with the name of pipeline-input-step's; somebody unknown may reject where anyone may. */
public final class Rejection extends CauseOfInterruption {
    private static final long serialVersionUID = 1;
    private final String user;

    public Rejection(String user) {
        this.user = user;
    }

    public User getUser() {
        return user == null ? null : new User(user);
    }

    @Override
    public String getShortDescription() {
        return user == null ? "Rejected" : "Rejected by " + user;
    }
}
