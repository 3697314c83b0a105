"""The jobs: training, evaluating, sampling, and the pictures of a run."""
