"""Members of a conditional population with different class loss weights equal separate runs."""

import functools

import jax
import numpy as np
import pytest
from conditional import CLASSES, configure, digit_labels
from gans import load_digits

from jaxgan.algorithm.gan import init_state
from jaxgan.config import experiment
from jaxgan.devices.parallel import make_program
from jaxgan.sweeps.population import Population, init_members, optimizer_numbers

LABELS = {"condition.labels.discriminator": "none", "condition.labels.fakes": "data"}
CODES = {"condition.name": "codes", "condition.codes.categorical": (3,), "condition.codes.continuous": 1}


@pytest.mark.parametrize(
    ("fields", "term", "width"),
    [(LABELS, "d2d_ce", 2), (LABELS, "d2d_ce", 1), (CODES, "information", 2)],
    ids=["labels-2", "labels-1", "codes-2"],
)
def test_each_member_equals_a_separate_run(fields, term, width):
    configs = [configure(**fields, **{f"regularizers.{term}.weight": weight}) for weight in (0.5, 2.0)]
    gans = [experiment.make_gan(config, (8, 8, 1), None, CLASSES) for config in configs]
    hypers = [experiment.make_hyper(config, digit_labels()) for config in configs]
    data = {"examples": load_digits(), "labels": digit_labels()}
    keys = np.array([[0, 0], [0, 1]], np.uint32)

    population = Population(gans[0], 8, 2, width, jax.devices()[:1])
    numbers = [optimizer_numbers(gan) for gan in gans]
    states = jax.jit(functools.partial(init_members, gans[0], keys, hypers, numbers))()
    states, alive = population.place(states, np.ones(2, bool))
    _, alive, found = population.train_steps(states, alive, population.place_data(data), 4)
    assert np.asarray(alive).all() and f"generator/{term}" in found
    for i in range(2):
        program = make_program(gans[i], "jit", 8, num_devices=1)
        state = jax.jit(lambda i=i: init_state(gans[i], keys[i], hypers[i]))()
        _, metrics = program.train_steps(program.place_state(state), program.place_data(data), 4)
        for name, values in metrics.items():
            np.testing.assert_allclose(found[name][i], values, rtol=2e-3, atol=1e-4, err_msg=name)
