"""Everything begin finds out before anything is touched."""
