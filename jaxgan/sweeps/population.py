"""Many runs as one program: the same step over a stacked state.

The leaves of a stacked state are `[K, ...]`, except for `step`, which all share, so that a branch on it stays
a branch. Every member has its own key, and so its own random draws and order of the data.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxgan.algorithm.gan import GAN, KeyWords, init_state
from jaxgan.algorithm.train_state import GanState
from jaxgan.compilation import compiler_options
from jaxgan.devices.flops import step_flops
from jaxgan.devices.parallel import Data, scan_steps

AXIS = "members"
_LONG_STEP = 1e8  # floating-point operations: some milliseconds


def optimizer_numbers(gan: GAN) -> dict[str, dict[str, Float[Array, ""]]]:
    """The initial injected numbers of both optimizers, by network."""
    example = {"w": jnp.zeros(())}
    optimizers = {"generator": gan.generator_optimizer, "discriminator": gan.discriminator_optimizer}
    return {network: dict(opt.init(example).hyperparams) for network, opt in optimizers.items()}


def init_member(gan: GAN, key: KeyWords, hyper: dict, optimizers: dict) -> GanState:
    """A fresh state of `init_state`, with the given numbers in its optimizers."""
    state = init_state(gan, key, hyper)
    networks = {}
    for name, numbers in optimizers.items():
        network = getattr(state, name)
        networks[name] = network.replace(opt_state=network.opt_state._replace(hyperparams=numbers))
    rates = {name: numbers["learning_rate"] for name, numbers in optimizers.items()}
    return state.replace(**networks, hyper={**state.hyper, "learning_rate": rates})


def init_members(
    gan: GAN, keys: UInt32[np.ndarray, "K 2"], hypers: Sequence[dict], optimizers: Sequence[dict]
) -> GanState:
    """Fresh states, with the same bits as single ones; `keys` is uint32 `[K, 2]`."""
    members = keys, stack([jax.tree.map(np.float32, hyper) for hyper in hypers]), stack(optimizers)
    members = jax.tree.map(jnp.asarray, members)
    return unbatch_step(lax.map(lambda member: init_member(gan, *member), members))


def stack(trees: Sequence[Any]) -> Any:
    """Trees of numbers or arrays as one, its leaves `[K, ...]`, on the host."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def unbatch_step(states: GanState) -> GanState:
    """Replaces the K equal steps by one."""
    return states.replace(step=states.step[0])


@jax.jit
def member_of(states: GanState, i: int | np.integer | Int[Array, ""]) -> GanState:
    """The state of member i, as of a single run."""
    step = states.step
    return jax.tree.map(lambda leaf: leaf[i], states.replace(step=None)).replace(step=step)


def select(states: GanState, rows: Int[np.ndarray, " n"]) -> GanState:
    """The states of some members, in that order, on the host."""
    step = states.step
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], states.replace(step=None)).replace(step=step)


def prefers_map(gan: GAN, states: GanState, data: Data, batch_size: int, platform: str) -> bool:
    """Whether members one after another are faster than side by side.

    On a CPU they are for convolutions, which vmap turns into grouped convolutions, 4.5 times slower; and for
    steps long enough to keep a core busy, which gain nothing side by side.
    """
    if platform != "cpu":
        return False
    step = functools.partial(_call_member, gan=gan, batch_size=batch_size, num=1)
    one = jax.eval_shape(lambda states: member_of(states, 0), states)
    program = jax.make_jaxpr(step)(one, data)
    return "conv_general_dilated" in str(program) or step_flops(gan, one, batch_size) > _LONG_STEP


def _call_member(state, data, *, gan, batch_size, num):
    return scan_steps(
        state, data, num, gan=gan, batch_size=batch_size, streamed=False, share=lambda batch: batch
    )


class Population:
    """The compiled program of K members.

    Args:
      gan: what is static, of all of them.
      batch_size: B, of each.
      num_members: K.
      width: members side by side, by vmap; 1: one after another. Groups of `width` run one after another.
      devices: to share the members. If K is no multiple of their number, copies of a member are added.
    """

    def __init__(self, gan: GAN, batch_size: int, num_members: int, width: int, devices: Sequence[Any]):
        self._gan, self._batch_size = gan, batch_size
        self.num_members, self.width = num_members, width
        devices = list(devices)[:num_members]
        self._places = -(-num_members // len(devices)) * len(devices)  # K and the copies
        mesh = jax.make_mesh((len(devices),), (AXIS,), devices=devices, axis_types=(AxisType.Auto,))
        self._members = NamedSharding(mesh, PartitionSpec(AXIS))
        self._shared = NamedSharding(mesh, PartitionSpec())
        self._programs: dict[int, Any] = {}

    def place(
        self, states: GanState, alive: Bool[np.ndarray, " K"]
    ) -> tuple[GanState, Bool[Array, " placed"]]:
        """Places states and `alive` `[K]` on the devices."""
        rows = np.minimum(np.arange(self._places), self.num_members - 1)
        padded = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], states.replace(step=None))
        placed = jax.device_put(padded, self._members)
        # copies: the caller's arrays outlive the donation, and no two devices share a buffer
        placed = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=self._members)(placed)
        step = jax.device_put(jnp.asarray(states.step), self._shared)
        return placed.replace(step=step), jax.device_put(alive[rows], self._members)

    def place_data(self, data: dict[str, Any]) -> Data:
        """Places the data on every device."""
        return jax.device_put(data, self._shared)

    def compile(self, states, data, num: int):
        """The compiled program of `num` steps; its inputs may be abstract."""
        if num not in self._programs:
            # no donation, because members that diverge keep their states from before
            call = jax.jit(self._call, static_argnums=2, compiler_options=compiler_options())
            self._programs[num] = call.lower(states, data, num).compile()
        return self._programs[num]

    def train_steps(self, states: GanState, alive: Bool[Array, " placed"], data: Data, num: int):
        """Makes `num` steps of every member that is alive.

        A member whose metrics or state are not finite afterwards keeps its old state, and is no longer alive.

        Returns:
          states, alive `[K]` (both with the copies), and metrics `[K, num]` by name.
        """
        after, sound, metrics = self.compile(states, data, num)(states, data)
        alive &= sound
        if not np.asarray(alive).all():
            after = _choose(alive, after, states)
        return after, alive, {name: values[: self.num_members] for name, values in metrics.items()}

    def _call(self, states, data, num):
        run = functools.partial(self._run, num=num)
        if self._members.mesh.size > 1:
            members, shared = PartitionSpec(AXIS), PartitionSpec()
            spec = jax.tree.map(lambda _: members, states).replace(step=shared)
            run = jax.shard_map(
                run,
                mesh=self._members.mesh,
                in_specs=(spec, shared),
                out_specs=(spec, members, members),
                check_vma=False,
            )
        return run(states, data)

    def _run(self, states, data, num):
        step, before, members = states.step, states.replace(step=None), len(states.key)

        def member(state):
            state, metrics = _call_member(
                state.replace(step=step), data, gan=self._gan, batch_size=self._batch_size, num=num
            )
            return state.replace(step=None), metrics

        width = min(self.width, members)
        if members == 1:  # without a loop, as in a single run
            after, metrics = member(jax.tree.map(lambda leaf: leaf[0], before))
            after, metrics = jax.tree.map(lambda leaf: leaf[None], (after, metrics))
        elif width == members:
            after, metrics = jax.vmap(member)(before)
        else:
            after, metrics = lax.map(member, before, batch_size=width if width > 1 else None)
        sound = _finite(after) & _finite(metrics)
        return after.replace(step=step + num), sound, metrics


@functools.partial(jax.jit, donate_argnums=1)
def _choose(alive: Bool[Array, " placed"], after: GanState, before: GanState) -> GanState:
    """The states after a call; of members that are not alive, those before."""

    def choose(new, old):
        return jnp.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    states = jax.tree.map(choose, after.replace(step=None), before.replace(step=None))
    return states.replace(step=after.step)


def _finite(tree) -> jax.Array:
    """`[K]`: whether all numbers of a member are finite."""
    leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.stack([jnp.isfinite(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in leaves]).all(axis=0)
