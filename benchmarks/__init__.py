"""Measurements of this product against what an expert would write instead."""
