"""One run's files and screens: its record, checkpoints, metrics, pictures and console."""
