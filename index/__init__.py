"""Vectors to neighbors and duplicate groups; knows neither Beam nor TensorFlow."""
