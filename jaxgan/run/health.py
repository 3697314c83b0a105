"""Reading the diagnostics: plain words for collapse and saturation."""


def diagnose(metrics: dict[str, float], *, classifies: bool) -> dict[str, str]:
    """What is wrong with a run by its latest mean metrics: symptom → sentence; empty where all is well.

    Args:
      metrics: as `steps.train_step` names them, means over a window of steps.
      classifies: whether the discriminator's accuracies mean anything (not for a Wasserstein critic, which
        ought to tell real from fake).

    The thresholds are conventions: a fifth of the data's diversity is what a generator shows that draws only
    a few of its modes; accuracies above 99.5 % on both sides leave the generator next to no gradient.
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
