"""One file an engine: ways to run the same module."""
