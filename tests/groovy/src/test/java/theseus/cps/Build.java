package theseus.cps;

import java.io.Serializable;
import java.util.Arrays;
import java.util.List;

/** What `currentBuild` is: a result that can only get worse. */
public final class Build implements Serializable {
    private static final long serialVersionUID = 1;
    private static final List<String> ORDER =
        Arrays.asList("SUCCESS", "UNSTABLE", "FAILURE", "NOT_BUILT", "ABORTED");

    /** The outermost stage that somebody has restarted an earlier build from, "" when nobody has. */
    public String restartedFrom = "";
    private String result = "SUCCESS";

    public String getCurrentResult() {
        return result;
    }

    public void worsen(String to) {
        if (!ORDER.contains(to)) {
            throw new IllegalArgumentException("no such result: " + to);
        }
        if (ORDER.indexOf(to) > ORDER.indexOf(result)) {
            result = to;
        }
    }
}
