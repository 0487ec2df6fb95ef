"""A world in which nothing happens: what a rollout would change, found by running its stages."""
