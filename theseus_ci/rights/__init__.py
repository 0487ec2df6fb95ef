"""What a user must be allowed in the cluster: one list, for deploy/rbac.yaml, doctor and tests."""
