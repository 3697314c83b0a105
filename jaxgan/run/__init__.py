"""The files of a run and its console output: record, checkpoints, metrics and pictures."""
