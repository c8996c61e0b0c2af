"""Steps to use in recipes, to run by hand, and to copy from."""
