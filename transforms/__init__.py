"""The stages of the pipeline, and the plain code they wire."""
