"""What a run takes from the networks of another one."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.jobs.start_from import fill, merge


def networks(**discriminator):
    params = {name: {"kernel": jnp.full(shape, 2.0)} for name, shape in discriminator.items()}
    return {"discriminator": {"params": params, "model_state": {}}}


def test_a_head_of_another_width_is_left_and_begins_anew():
    mine, other = networks(dense_0=(4, 3), head_ac=(3, 5)), networks(dense_0=(4, 3), head_ac=(3, 10))
    fitting, left, new = merge(mine, other, "run")
    assert [*fitting] == [("discriminator", "params", "dense_0", "kernel")]
    assert left == new == ["discriminator/head_ac/kernel"]
    assert fill(mine, fitting)["discriminator"]["params"]["head_ac"]["kernel"].shape == (3, 5)
    assert np.all(fill(mine, fitting)["discriminator"]["params"]["dense_0"]["kernel"] == 2)


def test_a_trunk_of_another_width_is_refused():
    for other in (networks(dense_0=(4, 1), head_ac=(3, 5)), networks(head_ac=(3, 5))):
        with pytest.raises(UserError, match="init_from=run: its networks have other shapes"):
            merge(networks(dense_0=(4, 3), head_ac=(3, 5)), other, "run")
