"""What a third party needs to check a run without this program: its records, its files, and a digest of each."""
