"""Every fault at every request of a release, and whether the world came out whole."""
