"""Run attempts as jobs of a Slurm cluster, each of them once, whatever is lost on the way."""
