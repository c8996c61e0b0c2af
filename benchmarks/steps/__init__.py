"""Steps that do nearly nothing."""
