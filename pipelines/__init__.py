"""Jobs: flags in, artefacts out."""
