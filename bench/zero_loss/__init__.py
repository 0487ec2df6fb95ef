"""Users' requests through whole releases, counted: how many were lost."""
