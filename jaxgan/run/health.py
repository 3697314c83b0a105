"""Warnings about mode collapse and saturation, from the metrics."""


def diagnose(metrics: dict[str, float], *, classifies: bool) -> dict[str, str]:
    """Problems of a run by its latest mean metrics: symptom → sentence; empty if there are none.

    Args:
      metrics: as `steps.train_step` names them, means over a window of steps.
      classifies: whether the discriminator's accuracies are meaningful (not for a Wasserstein critic, which
        is meant to tell real from fake).

    The thresholds are conventions. With a few modes a generator has about a fifth of the data's diversity.
    With accuracies above 99.5 % on both sides it gets almost no gradient.
    """
    found = {}
    if metrics["diversity"] < 0.2:
        found["collapse"] = (
            f"mode collapse? fakes differ only {metrics['diversity']:.0%} as much as real examples do; "
            "try a lower discriminator learning rate, spectral normalization, another loss or another seed"
        )
    if classifies and min(metrics["accuracy_real"], metrics["accuracy_fake"]) > 0.995:
        found["saturation"] = (
            "the discriminator is saturated: it tells real from fake without error, and the generator gets "
            f"little to learn from (gradient norm {metrics['generator_grad_norm']:.2g}); try a smaller or "
            "regularized discriminator, or loss.name=nonsaturating, hinge or wasserstein"
        )
    return found
