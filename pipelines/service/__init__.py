"""The search service: an output and its pictures, answered over HTTP, with a page."""
