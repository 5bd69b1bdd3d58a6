"""Matting a library of films: plan, work, join, report."""

# The farm speaks for one version of matte_file, and refuses workers that have another.
VERSION = "0.1.0"
