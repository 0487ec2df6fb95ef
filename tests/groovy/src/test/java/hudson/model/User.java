package hudson.model;

/** Stand-in with the name of Jenkins core's; as there, it cannot be saved. */
public final class User {
    private final String id;

    public User(String id) {
        this.id = id;
    }

    public String getId() {
        return id;
    }
}
