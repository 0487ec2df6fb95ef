"""What every stage works with: the state, the lease, fenced edits, the mesh as observed."""
