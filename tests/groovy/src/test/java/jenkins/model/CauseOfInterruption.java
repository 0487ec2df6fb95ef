package jenkins.model;

import hudson.model.User;
import java.io.Serializable;

/** Stand-in with the name of Jenkins core's. */
public abstract class CauseOfInterruption implements Serializable {
    private static final long serialVersionUID = 1;

    public abstract String getShortDescription();

    /** Somebody stopped the build. */
    public static final class UserInterruption extends CauseOfInterruption {
        private static final long serialVersionUID = 1;
        private final String user;

        public UserInterruption(String user) {
            this.user = user;
        }

        public User getUser() {
            return new User(user);
        }

        @Override
        public String getShortDescription() {
            return "Aborted by " + user;
        }
    }
}
