"""Recipes and builders of template tarballs; see `python -m images --help`."""
