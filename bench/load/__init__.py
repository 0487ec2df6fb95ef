"""The load generator beside other clients, against the same servers in the same minutes."""
