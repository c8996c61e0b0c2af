"""Recipes: the model of the language, reading one from a file, and the JSON Schema that editors use."""
