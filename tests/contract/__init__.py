"""What every API server must do for theseus-ci, asked of the sandbox's and of a real one alike."""
