"""Mode collapse and its cures on the ring of 8 and the grid of 25, over several seeds: a table with errors.

python tests/studies/mode_collapse.py --dataset=ring --steps=5000 --seeds=5

Not part of the tests: it trains for minutes to hours. The seeds of a method train together, under vmap.
"""

import argparse
import functools
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from configs import recipes
from jaxgan import sampler
from jaxgan.algorithm.gan import init_state
from jaxgan.config import checks, experiment, fields
from jaxgan.datasets.mixtures import grid_modes, ring_modes
from jaxgan.devices.parallel import scan_steps
from jaxgan.metrics.modes import mode_coverage


def every(interval):
    return "rpgan_r1r2_lazy", {f"regularizers.{name}.interval": interval for name in ("r1", "r2")}


METHODS = {
    "vanilla": ("nonsaturating", {}),
    "packing 2": ("pacgan", {}),
    "unrolling 5": ("unrolled", {}),
    "RpGAN + R1 + R2": ("rpgan_r1r2", {}),
    "lazy RpGAN + R1 + R2": every(16),
    "every 64th": every(64),
    "every 256th": every(256),
    "RpGAN": ("rpgan_r1r2", {"regularizers.r1.weight": 0.0, "regularizers.r2.weight": 0.0}),
}
MODES = {"ring": (ring_modes(), 0.01), "grid": (grid_modes(), 0.05)}
SAMPLES = 2500


def make_config(dataset, recipe, overrides, steps):
    """The ring with PacGAN's networks and optimizer, the grid with 2 layers of 128, ReLU."""
    base = recipes.get_config(f"nonsaturating,gan_{dataset}")
    config = recipes.get_config(f"{recipe},gan_{dataset}")
    for network in ("generator", "discriminator"):  # the optimizer is the same for all methods
        adam, eps_root = config[f"{network}_optimizer"].adam, config[f"{network}_optimizer"].adam.eps_root
        adam.update(base[f"{network}_optimizer"].adam)
        adam.eps_root = eps_root
        if dataset == "grid":
            config[network].mlp.hidden = (128, 128)
    if dataset == "grid":
        config.generator.mlp.batch_norm = False
        config.generator.mlp.weights = config.discriminator.mlp.weights = "glorot"
        config.discriminator.mlp.maxout = 0
    config.num_steps = steps
    config.update_from_flattened_dict(overrides)
    return config


def run(config, seeds, steps, every):
    """Coverage of each seed at several steps."""
    checks.check(config)
    config = fields.fix_schedule(config)
    dataset = experiment.load_dataset(config)
    gan = experiment.make_gan(config, dataset.shape)
    hyper = experiment.make_hyper(config)
    keys = jnp.stack([jnp.zeros(seeds, jnp.uint32), jnp.arange(seeds, dtype=jnp.uint32)], axis=1)
    states = jax.jit(jax.vmap(lambda key: init_state(gan, key, hyper)))(keys)
    # one step count for all, so that a lazy penalty stays a branch
    axes = jax.tree.map(lambda _: 0, states).replace(step=None)
    states = states.replace(step=states.step[0])
    data = {"examples": jnp.asarray(dataset.examples)}

    @functools.partial(jax.jit, donate_argnums=0)
    def train(states):
        step = functools.partial(
            scan_steps, num=every, gan=gan, batch_size=config.batch_size, streamed=False, share=lambda b: b
        )
        return jax.vmap(step, in_axes=(axes, None), out_axes=(axes, 0))(states, data)

    z = jnp.concatenate([sampler.latents(gan, jnp.uint32(1), jnp.int32(i)) for i in range(0, SAMPLES, 64)])
    modes, std = MODES[config.dataset.name]
    curve, start = {}, time.time()
    for step in range(every, steps + 1, every):
        states, metrics = train(states)
        draw = jax.vmap(lambda weights: sampler.generate(gan, weights, z[:SAMPLES]))
        samples = np.asarray(draw(states.ema))
        curve[step] = [mode_coverage(points, modes, std) for points in samples]
        finite = all(np.isfinite(np.asarray(value)).all() for value in metrics.values())
        mean = {name: np.mean([row[name] for row in curve[step]]).round(3) for name in curve[step][0]}
        print(f"  step {step}, {time.time() - start:.0f} s, finite {finite}: {mean}", flush=True)
    return curve, samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dataset", choices=MODES, default="ring")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", default=",".join(METHODS), help="comma-separated; default: all")
    parser.add_argument("--set", default="{}", help="JSON: config fields for every method")
    parser.add_argument("--out", help="JSON file of every seed's numbers")
    options = parser.parse_args()
    table, everything = [], {}
    for method in options.methods.split(","):
        recipe, overrides = METHODS[method.strip()]
        print(method, flush=True)
        config = make_config(options.dataset, recipe, {**overrides, **json.loads(options.set)}, options.steps)
        curve, _ = run(config, options.seeds, options.steps, options.every)
        everything[method] = curve
        rows = curve[max(curve)]
        cells = []
        for name, factor in (("modes", 1), ("good", 100), ("reverse_kl", 1)):
            values = factor * np.array([row[name] for row in rows])
            error = values.std(ddof=1) / np.sqrt(len(values))
            cells.append(f"{values.mean():.2f} ± {error:.2f}")
        table.append(f"| {method} | {' | '.join(cells)} |")
        if options.out:
            Path(options.out).write_text(json.dumps(everything))
    print(f"\n{options.dataset}, {options.steps} steps, {options.seeds} seeds, mean ± standard error")
    print("| method | modes | good % | reverse KL |\n|---|---|---|---|")
    print("\n".join(table))


if __name__ == "__main__":
    main()
