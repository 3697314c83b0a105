"""The state of a run: one pytree with everything that the next step depends on."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax.training import train_state


class NetworkState(train_state.TrainState):
    """A network: `step`, `params`, `opt_state`, and its mutable collections.

    Attributes:
      model_state: collection → variables that the forward pass itself changes (`batch_stats`: running
        averages of batch norm, vectors of spectral norm).
      compute_dtype: what the network computes in: parameters and inputs are cast to it, outputs to float32.
    """

    model_state: dict[str, Any]
    compute_dtype: str = flax.struct.field(pytree_node=False, default="float32")

    def forward(self, params, model_state, inputs, given=None, *, dropout_key=None, **kwargs):
        """Applies the network in training mode to inputs and their conditions, `given` by keyword.

        Returns `(outputs, new model_state)`.
        """
        params, inputs = _cast((params, inputs), self.compute_dtype)
        given = _cast_floats(given or {}, self.compute_dtype)
        rngs = None if dropout_key is None else {"dropout": dropout_key}
        outputs, updated = self.apply_fn(
            {"params": params, **model_state},
            inputs, train=True, mutable=list(model_state), rngs=rngs, **given, **kwargs,
        )  # fmt: skip
        return _cast(outputs, jnp.promote_types(self.compute_dtype, jnp.float32)), dict(updated)

    def with_numbers(self, numbers: dict[str, jax.Array]) -> "NetworkState":
        """The same state with other numbers in the optimizer, such as `learning_rate`."""
        hyperparams = {**self.opt_state.hyperparams, **numbers}
        return self.replace(opt_state=self.opt_state._replace(hyperparams=hyperparams))


def _cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def _cast_floats(tree, dtype):
    """Casts floats; labels stay integers."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


class GanState(flax.struct.PyTreeNode):
    """Everything that training changes or an ablation may vary, as array leaves.

    Attributes:
      step: int32 `[]`, the number of generator updates done.
      key: uint32 `[2]`, the run's key words; never changes, every draw folds in the step.
      generator, discriminator: the two networks with their optimizers.
      ema: `params` and `model_state` of the averaged generator, which is the one to sample from.
      hyper: numbers that an ablation may vary. One that is off is absent, and its term is not compiled.
        `ema_decay`, `ema_half_life`, `ema_rampup`, `loss_weight.{generator,discriminator}`, `loss.*` (the
        loss's own numbers),
        `learning_rate.{generator,discriminator}`, `schedule.*`,
        `schedules.<field>.{start,end,from_step,num_steps}`,
        `regularizers.<name>.{weight,schedule.*,fields.*}`, `clip_norm.{generator,discriminator}`,
        `augment`, `data_augment`, `consistency_augment` (`<name>.*` each), `augment_probability`,
        `adaptive.{target,length}`, `instance_noise.{stddev,schedule.*}`, `label_flip`,
        `class_weights` `[K]`, `condition.label_shares` `[K]`, `top_k.{k,num_steps}`, `lookahead_alpha`.
      extras: the memory of penalties and tricks: `generator` and `discriminator` (each
        `regularizers.<name>`; the discriminator's also `adaptive` and `pool`), `lookahead`,
        `discriminator_metrics`.
    """

    step: jax.Array
    key: jax.Array
    generator: NetworkState
    discriminator: NetworkState
    ema: dict[str, Any]
    hyper: dict[str, Any]
    extras: dict[str, Any]


def variable_shapes(module, shape: tuple[int, ...], given: dict | None = None) -> dict:
    """Shapes and types of a network's variables, for inputs of `shape` with the condition `given`."""
    init = functools.partial(module.init, train=False, **(given or {}))
    return jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, *shape)))


def init_network(
    module,
    optimizer: optax.GradientTransformation,
    key,
    example,
    given: dict,
    compute_dtype: str = "float32",
) -> NetworkState:
    """A fresh network: parameters drawn with `key`, shapes from the inputs `example` and their condition."""
    variables = dict(module.init(key, example, train=False, **given))
    params = variables.pop("params")
    return NetworkState(
        # an array, not TrainState.create's Python int: restoring compares with jax.eval_shape
        step=jnp.zeros((), jnp.int32),
        apply_fn=module.apply,
        params=params,
        tx=optimizer,
        opt_state=optimizer.init(params),
        model_state=variables,
        compute_dtype=compute_dtype,
    )
