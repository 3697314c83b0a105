"""The cost at which a search reaches the best result of random settings of the same total cost.

python tests/studies/search_against_random.py --config=gan_ring:small --steps=1800 --random=16 --draws=56 \
    --objective=reverse_kl_nearest_2.5k --seeds=5 --folder=study --out=study.json

Cost is the number of training steps times the seconds per step. Compilation and evaluation do not count. All
settings of a study share one program, so both costs use the same seconds per step, the smaller of two
measured values. The same command resumes a study from its folder.

Both train in waves of 8, with the same seed of the networks, and are measured on the validation part. Random
draws are all trained to the end. A setting counts when its wave is finished.
"""

import argparse
import importlib
import itertools
import json
import random
import time
from pathlib import Path

import numpy as np

from jaxgan.run.workdir import Stop
from jaxgan.sweeps import devices, plan, proposals, search, searching
from jaxgan.sweeps.search import Budget, read_waves
from jaxgan.sweeps.settings import GANs, find_objective
from jaxgan.sweeps.space import make_space

SWEEPS = [
    "generator_optimizer.adam.learning_rate=log(1e-5:1e-1)",
    "discriminator_optimizer.adam.learning_rate=log(1e-5:1e-1)",
    "generator_optimizer.adam.b1=0:0.95",
    "discriminator_optimizer.adam.b1=0:0.95",
]


class AllToTheEnd(GANs):
    """GANs without pruning."""

    def train(self, folder, trials, keep, stop, claimed):
        return super().train(folder, trials, lambda step, values: np.arange(len(values)), stop, claimed)


def draw_randomly(space, known, objective, size, seed, wave, *_):
    source = random.Random(seed * 1_000 + wave)
    return [({axis.field: axis.draw(source) for axis in space.axes.values()}, "") for _ in range(size)]


def run(kind, config, budget, objective, folder):
    begun = time.process_time()
    original = proposals.propose
    if kind is AllToTheEnd:
        proposals.propose = draw_randomly
    try:
        problem = kind(config, make_space(plan.parse_axes(config, SWEEPS)), objective, budget, folder, "auto")
        with Stop() as stop:
            search.search(problem, folder, budget, stop)
    finally:
        proposals.propose = original
    steps, best, sign, path = 0, np.inf, -1 if objective.highest else 1, []
    for wave in read_waves(folder):
        steps += sum(trial.step for trial in wave)
        best = min([best, *(sign * trial.value for trial in wave if trial.status == "done")])
        path.append((steps, sign * best))
    seconds = min(t.cost / t.step for t in itertools.chain(*read_waves(folder)) if t.step)
    return {"path": path, "step_seconds": seconds, "process_seconds": time.process_time() - begun}


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("config", str), ("objective", str), ("folder", Path), ("out", Path)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    for name in ("steps", "random", "draws", "seeds"):
        parser.add_argument(f"--{name}", type=int, required=True)
    flags = parser.parse_args()
    devices.use_cores()
    name, _, variant = flags.config.partition(":")
    config = importlib.import_module(f"configs.{name}").get_config(*filter(None, [variant]))
    config.num_steps = flags.steps
    config.steps_per_call = config.log_every = flags.steps // 9
    config.eval_every = config.sample_every = config.checkpoint_every = 0
    if name != "gan_ring":
        config.evaluation.protocol = "1000"
    config = searching.with_validation_part(config)
    objective, found = find_objective(flags.objective, config), []
    sign = -1 if objective.highest else 1
    for seed in range(flags.seeds):
        config.seed = seed
        folder, row = flags.folder / f"{name}-{seed}", {"seed": seed}
        drawn = Budget(flags.random, seed=seed), objective, folder / "random"
        row["random"] = run(AllToTheEnd, config, *drawn)
        searched = Budget(flags.draws, seed=seed), objective, folder / "search"
        row["search"] = run(GANs, config, *searched)
        (steps, target), reached = row["random"]["path"][-1], row["search"]["path"]
        needed = [n for n, value in reached if sign * value <= sign * target]
        second = min(row["random"]["step_seconds"], row["search"]["step_seconds"])
        row |= {"random_best": target, "random_steps": steps, "random_cost": second * steps}
        row |= {"search_best": reached[-1][1], "search_steps": reached[-1][0]}
        row |= {"search_steps_to_target": min(needed, default=None)}
        row |= {"search_cost_to_target": second * needed[0] if needed else None}
        found.append(row)
        print(
            json.dumps({key: value for key, value in row.items() if key not in ("random", "search")}),
            flush=True,
        )
        flags.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
