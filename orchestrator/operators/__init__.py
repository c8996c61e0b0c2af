"""Those who carry steps out that this machine's workers do not: people, instruments, clusters."""
