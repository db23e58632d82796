"""Recipes: the typed schema, and reading a YAML file into it."""
