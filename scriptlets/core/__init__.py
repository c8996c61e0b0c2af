"""The runner's own book-keeping: every write to a run's records is one of these."""
