"""Keep the truth of a run: one SQLite file, written in transactions that are each one fact."""
