"""Data: the field structure of the kinds served, written by `generate` from upstream's schemas."""
