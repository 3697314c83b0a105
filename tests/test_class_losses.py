"""Class losses and their gradients against the formulas in float64, also at extreme logits."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.regularizers import CLASS_LOSSES
from jaxgan.regularizers.classes import Said

B, K, W = 6, 3, 4
LABELS = SimpleNamespace(num_classes=K)
REAL_LABELS, FAKE_LABELS = np.array([0, 1, 2, 1, 1, 0]), np.array([2, 0, 0, 1, 2, 2])


# --- References: `(logits [B, N], embedding [B, W], targets [B]) -> [B]`, float64, example by example
# -----------


def cross_entropy(logits, embedding, t):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(B), t]


def crammer_singer(logits, embedding, t):
    return np.array([max(0, 1 + max(np.delete(l, y)) - l[y]) for l, y in zip(logits, t, strict=True)])  # noqa: E741


def contrast(logits, e, t, temperature=1.0):
    losses = []
    for i in range(B):
        near = np.exp(logits[i, t[i]] / temperature)
        others = [(t[j], np.exp(e[i] @ e[j] / temperature)) for j in range(B) if j != i]
        positive = near + sum(s for y, s in others if y == t[i])
        losses.append(-np.log(positive / (near + sum(s for _, s in others))))
    return np.array(losses)


def data_to_data(logits, e, t, temperature=0.5, margin=0.98, published=False):
    losses = []
    for i in range(B):
        a = max(0, (margin - logits[i, t[i]]) / temperature)
        similar = {j: (e[i] @ e[j] - (1 - margin)) / temperature for j in range(B) if j != i}
        largest = max(similar.values()) if published else 0.0
        negatives = sum(np.exp(max(0, s) - largest) for j, s in similar.items() if t[j] != t[i])
        losses.append(a + np.log(np.exp(-a) + negatives))
    return np.array(losses)


def parts(criterion, real_targets=None, fake_targets=None):
    """The sum of a criterion over the sides that have targets."""

    def loss(real, fake):
        sides = (real, real_targets), (fake, fake_targets)
        return sum(sign * criterion(*side, t) for side, some in sides for sign, t in some or [])

    return loss


R, F = REAL_LABELS, FAKE_LABELS
FAKE_CLASS = np.full(B, K)
# name, fields: references for the discriminator and the generator
CASES = {
    "ac": ({}, parts(cross_entropy, [(1, R)]), parts(cross_entropy, None, [(1, F)])),
    "ac of fakes": (
        {"fakes": True},
        parts(cross_entropy, [(1, R)], [(1, F)]),
        parts(cross_entropy, None, [(1, F)]),
    ),
    "tac": (
        {"discriminator": 0.5, "generator": 0.7},
        parts(cross_entropy, None, [(0.5, F)]),
        parts(cross_entropy, None, [(-0.7, F)]),
    ),
    "tac of contrastive": (
        {"base": "contrastive"},
        parts(contrast, None, [(1, F)]),
        parts(contrast, None, [(-1, F)]),
    ),
    "adc": (
        {},
        parts(cross_entropy, [(1, 2 * R)], [(1, 2 * F + 1)]),
        parts(cross_entropy, None, [(1, 2 * F), (-1, 2 * F + 1)]),
    ),
    "adc of d2d_ce": (
        {"base": "d2d_ce"},
        parts(data_to_data, [(1, 2 * R)], [(1, 2 * F + 1)]),
        parts(data_to_data, None, [(1, 2 * F), (-1, 2 * F + 1)]),
    ),
    "multi_hinge": (
        {"generator": 0.3},
        parts(crammer_singer, [(1, R)], [(1, FAKE_CLASS)]),
        parts(crammer_singer, None, [(0.3, F)]),
    ),
    "contrastive": (
        {"temperature": 0.3},
        parts(lambda *x: contrast(*x, temperature=0.3), [(1, R)]),
        parts(lambda *x: contrast(*x, temperature=0.3), None, [(1, F)]),
    ),
    "d2d_ce": (
        {"temperature": 0.4, "margin": 0.9},
        parts(lambda *x: data_to_data(*x, temperature=0.4, margin=0.9), [(1, R)]),
        parts(lambda *x: data_to_data(*x, temperature=0.4, margin=0.9), None, [(1, F)]),
    ),
    "d2d_ce as published": (
        {"published": True},
        parts(lambda *x: data_to_data(*x, published=True), [(1, R)]),
        parts(lambda *x: data_to_data(*x, published=True), None, [(1, F)]),
    ),
}


def inputs(head, scale, seed=0):
    """(logits, embedding) of both sides in float64."""
    rng, sides = np.random.default_rng(seed), []
    for _ in range(2):
        logits, e = rng.normal(size=(B, head.outputs)), rng.normal(size=(B, W))
        if head.embedding:  # cosines
            sides.append((np.tanh(logits), e / np.linalg.norm(e, axis=1, keepdims=True)))
        else:
            sides.append((scale * logits, None))
    return sides


def ours(loss, network, sides):
    said = [
        Said(logits, embedding, {"labels": jnp.asarray(labels)})
        for (logits, embedding), labels in zip(sides, (REAL_LABELS, FAKE_LABELS), strict=True)
    ]
    return getattr(loss, network)(*said)


def derivative(function, sides, h=1e-6):
    """Central differences of the sum over the batch, for each input number; in float64."""
    found = []
    for s, side in enumerate(sides):
        for p, part in enumerate(side):
            if part is None:
                continue
            gradient = np.zeros_like(part)
            for place in np.ndindex(part.shape):
                values = []
                for sign in (1, -1):
                    moved = [list(some) for some in sides]
                    moved[s][p] = part.copy()
                    moved[s][p][place] += sign * h
                    values.append(np.sum(function(*moved)))
                gradient[place] = (values[0] - values[1]) / (2 * h)
            found.append(gradient)
    return found


@pytest.mark.parametrize("network", ["discriminator", "generator"])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_match_the_formulas(case, network):
    fields, *by_hand = CASES[case]
    loss = CLASS_LOSSES[case.split()[0]](**fields)
    expected = by_hand[network == "generator"]
    for scale in (1.0, 100.0):
        sides = inputs(loss.head(LABELS), scale)
        with jax.enable_x64(True):
            value = ours(loss, network, sides)
            gradient = jax.grad(lambda s: jnp.sum(ours(loss, network, s)))(sides)
        assert value.shape == (B,)
        np.testing.assert_allclose(value, np.broadcast_to(expected(*sides), B), rtol=1e-10, atol=1e-12)
        if case != "d2d_ce as published":  # with a stopped gradient of the largest negative
            for a, b in zip(jax.tree.leaves(gradient), derivative(expected, sides), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        single = jax.tree.map(jnp.float32, sides)
        np.testing.assert_allclose(ours(loss, network, single), value, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("case", CASES)
def test_extreme_logits_and_a_single_class_give_finite_values(case):
    loss = CLASS_LOSSES[case.split()[0]](**CASES[case][0])
    head = loss.head(LABELS)
    logits = jnp.where(jnp.arange(head.outputs) == 0, 1.0, -1.0) * (1.0 if head.embedding else 1e4)
    for labels in (jnp.zeros(B, jnp.int32), jnp.arange(B) % K):
        e = jnp.tile(jnp.array([1.0, 0, 0, 0]), (B, 1)) if head.embedding else None
        said = Said(jnp.tile(logits, (B, 1)), e, {"labels": labels})
        for network in ("discriminator", "generator"):

            def total(said, network=network):
                return jnp.sum(getattr(loss, network)(said, said))

            value, gradient = jax.value_and_grad(total, allow_int=True)(said)
            floats = [g for g in jax.tree.leaves(gradient) if g.dtype == jnp.float32]
            assert np.isfinite(value) and all(np.isfinite(g).all() for g in floats)


@pytest.mark.parametrize("case", CASES)
def test_a_loss_declares_whether_it_compares_examples(case):
    loss = CLASS_LOSSES[case.split()[0]](**CASES[case][0])
    sides = jax.tree.map(jnp.float32, inputs(loss.head(LABELS), 1.0))
    moved = jax.tree.map(lambda leaf: leaf.at[0].multiply(-1.0), sides)
    changed = False
    for network in ("discriminator", "generator"):
        change = np.asarray(ours(loss, network, sides)) != np.asarray(ours(loss, network, moved))
        changed |= bool(change[1:].any())
    assert changed == loss.coupled


# name: the sides that the terms of the discriminator and the generator use
ROUTES = {
    "ac": ("real", "fake"),
    "ac of fakes": ("real fake", "fake"),
    "tac": ("fake", "fake"),
    "adc": ("real fake", "fake"),
    "multi_hinge": ("real fake", "fake"),
    "contrastive": ("real", "fake"),
    "d2d_ce": ("real", "fake"),
}


@pytest.mark.parametrize("case", ROUTES)
def test_no_gradient_flows_to_the_other_side(case):
    loss = CLASS_LOSSES[case.split()[0]](**CASES[case][0])
    sides = jax.tree.map(jnp.float32, inputs(loss.head(LABELS), 1.0))
    for network, wanted in zip(("discriminator", "generator"), ROUTES[case], strict=True):
        gradient = jax.grad(lambda s: jnp.sum(ours(loss, network, s)))(sides)  # noqa: B023
        flows = [any(bool(leaf.any()) for leaf in jax.tree.leaves(side)) for side in gradient]
        assert flows == ["real" in wanted, "fake" in wanted], network
