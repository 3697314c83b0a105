"""A search on a known function, which replaces training."""

import itertools
import json
import math
import multiprocessing
import random
import subprocess
import sys

import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.run.workdir import Stop
from jaxgan.sweeps import proposals, search
from jaxgan.sweeps.grammar import parse
from jaxgan.sweeps.halving import keep, make_rungs
from jaxgan.sweeps.proposals import Objective, open_study
from jaxgan.sweeps.search import Budget
from jaxgan.sweeps.space import make_space

KINDS = {"x": float, "y": float, "shape": str, "on": bool, "n": int}
QUADRATIC = ["x=-2:2", "y=log(0.01:100)"]
RUNGS = (1, 3, 9)


def space_of(texts):
    return make_space([parse(text, KINDS.__getitem__) for text in texts])


def quadratic(values, step=9):
    """The minimum is 0 at x = 1, y = 1. Values at earlier rungs are larger by a constant."""
    return (values["x"] - 1) ** 2 + math.log10(values["y"]) ** 2 + 1 / step - 1 / 9


class Killed(Exception):
    pass


class Surface:
    """A `search.Problem` for a function of `values, step`."""

    def __init__(self, texts=QUADRATIC, function=quadratic, fields=(), cost=False, kill_at=None):
        self.space, self.objective = space_of(texts), Objective("loss", False, cost)
        self.function, self.fields, self.kill_at = function, set(fields), kill_at
        self.trained, self.calls, self.first = [], itertools.count(), None

    def accept(self, values):
        return "x is forbidden" if values.get("x", 0.0) > 1.9 else ""

    def structural(self, values):
        self.first = values
        return self.fields

    def joins(self, values):
        return all(values[field] == self.first[field] for field in self.fields)

    def name(self, number, values):
        return f"run{number}"

    def tick(self):
        if next(self.calls) == self.kill_at:
            raise Killed

    def train(self, folder, trials, keep, stop, claimed):
        left = [*range(len(trials))]
        found = [{"status": "pruned", "step": 0, "seconds": 1.0, "reason": "", "rungs": {}} for _ in trials]
        for rung in (9,) if self.objective.with_cost else RUNGS:
            self.tick()
            values = [self.function(trials[i].values, rung) for i in left]
            for i, value in zip(left, values, strict=True):
                found[i]["step"] = rung
                if math.isfinite(value):
                    found[i]["rungs"][str(rung)] = value
                else:
                    found[i] |= {"status": "diverged", "reason": "nan"}
            if rung < 9:
                left = [left[row] for row in keep(rung, np.array(values))]
        for i in left:
            found[i]["status"] = "done" if found[i]["status"] == "pruned" else found[i]["status"]
        self.trained += [trial.number for trial in trials]
        self.tick()
        return [{**outcome, "cost": 0.5 * outcome["step"]} for outcome in found]


def run(folder, budget, **about):
    problem = Surface(**about)
    with Stop() as stop:
        assert search.search(problem, folder, budget, stop) == 0
    return problem, [*itertools.chain(*search.read_waves(folder))]


def test_rungs_are_multiples_of_one_call_length():
    assert make_rungs(4_000, 8, 3, 50) == ([450, 1350, 4_000], 50)
    assert make_rungs(20_000, 8, 3, 1_000) == ([2_000, 7_000, 20_000], 1_000)
    assert make_rungs(4_000, 8, 3, 1_000) == ([400, 1_200, 4_000], 400)
    assert make_rungs(20, 1, 3, 4) == ([20], 4)
    assert make_rungs(5, 9, 2, 100)[0][-1] == 5


def test_the_best_third_continues_unless_worse_than_the_median():
    values = np.array([5.0, 1.0, np.nan, 3.0, 2.0, 4.0])
    assert list(keep(values, [], 3, highest=False)) == [1, 4]
    assert list(keep(values, [], 3, highest=True)) == [0, 5]
    assert list(keep(values, [0.0] * 6 + [1.0] * 2, 3, highest=False)) == [1]
    assert list(keep(values, [0.0] * 20, 3, highest=False)) == []  # a wave without good members ends
    assert list(keep(np.array([np.nan, np.inf]), [], 3, highest=False)) == []
    assert list(keep(np.array([2.0, 2.0]), [2.0], 3, highest=False)) == [0]


def test_a_search_finds_the_minimum_and_beats_random_draws(tmp_path):
    """20 seeds, 64 settings each. There are as many random draws, all trained to the end."""
    found, drawn = [], []
    for seed in range(20):
        folder = tmp_path / str(seed)
        _, trials = run(folder, Budget(64, seed=seed))
        found.append(search.best(trials, Objective("loss", False)).value)
        source = random.Random(seed)
        axes = space_of(QUADRATIC).axes.values()
        draws = [{axis.field: axis.draw(source) for axis in axes} for _ in range(64)]
        drawn.append(min(quadratic(values) for values in draws if values["x"] <= 1.9))
        steps = sum(trial.step for trial in trials)
        assert steps < 64 * 9 / 2.5
    assert np.median(found) < 0.01 and max(found) < 0.2
    assert np.median(found) < np.median(drawn) / 2 and np.mean(np.array(found) < drawn) >= 0.75


def told(folder):
    study = open_study(folder / "journal.log", Objective("loss", False))
    return [
        (trial.number, trial.params, trial.state.name, trial.values, trial.intermediate_values)
        for trial in study.get_trials()
    ]


def test_a_search_killed_five_times_gives_the_same_trials(tmp_path, monkeypatch):
    function = lambda values, step: math.nan if values["x"] < -1.5 else quadratic(values, step)  # noqa: E731
    _, expected = run(tmp_path / "whole", Budget(40), function=function)
    assert {trial.status for trial in expected} == {"done", "pruned", "diverged", "refused"}
    source, folder = random.Random(1), tmp_path / "killed"
    original = search.publish

    def publish(path, text):
        """Simulates a kill before or after a plan or result is written."""
        if moment and moment[-1][0] == path.name:
            _, after = moment.pop()
            if after:
                original(path, text)
            raise Killed
        return original(path, text)

    monkeypatch.setattr(search, "publish", publish)
    for name in ("train", "plan.json", "train", "result.json", "plan.json"):
        moment = [] if name == "train" else [(name, source.random() < 0.5)]
        kill_at = source.randrange(8) if name == "train" else None
        with pytest.raises(Killed), Stop() as stop:
            search.search(Surface(function=function, kill_at=kill_at), folder, Budget(40), stop)
    moment = []
    _, found = run(folder, Budget(40), function=function)
    assert found == expected
    assert told(folder) == told(tmp_path / "whole") and len(told(folder)) == 40
    assert [state for _, _, state, _, _ in told(folder)].count("FAIL") == sum(
        trial.status in ("diverged", "refused") for trial in expected
    )


def share(folder, together):
    """Trials that this process trained of a search which another process shares."""
    problem, search._POLL = Surface(), 0.01
    original = problem.train

    def train(*args):
        if not problem.trained:  # both processes have a first wave before either finishes it
            together.wait()
        return original(*args)

    problem.train = train
    with Stop() as stop:
        assert search.search(problem, folder, Budget(48), stop) == 0
    return problem.trained


def test_two_processes_share_a_search(tmp_path):
    """No trial is trained twice, and all results are in the journal."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(2) as pool:
        found = pool.starmap(share, [(tmp_path, manager.Barrier(2, timeout=60))] * 2, chunksize=1)
    refused = [t.number for t in itertools.chain(*search.read_waves(tmp_path)) if t.status == "refused"]
    assert all(found) and sorted(found[0] + found[1] + refused) == [*range(48)]
    assert [number for number, *_ in told(tmp_path)] == [*range(48)]


def test_a_wave_is_one_program(tmp_path):
    function = lambda values, step: quadratic(values, step) + 10 * (values["shape"] == "bad")  # noqa: E731
    texts = [*QUADRATIC, "shape=good,bad,fair"]
    _, trials = run(tmp_path, Budget(64), texts=texts, function=function, fields=["shape"])
    waves = search.read_waves(tmp_path)
    assert all(len({trial.values["shape"] for trial in wave}) == 1 for wave in waves)
    bad = [trial for trial in trials if trial.values["shape"] == "bad"]
    assert bad and not any(t.status == "done" for t in bad if t.wave > min(b.wave for b in bad))
    assert search.best(trials, Objective("loss", False)).values["shape"] != "bad"


def test_with_cost_nothing_is_pruned(tmp_path):
    _, trials = run(tmp_path, Budget(16), cost=True)
    assert {trial.status for trial in trials} <= {"done", "refused"}
    study = open_study(tmp_path / "journal.log", Objective("loss", False, True))
    assert all(len(trial.values) == 2 for trial in study.get_trials(states=[proposals_state("COMPLETE")]))
    assert study.best_trials


def proposals_state(name):
    return proposals.import_optuna().trial.TrialState[name]


def test_a_search_of_a_small_space_ends_when_all_is_tried(tmp_path):
    function = lambda values, step: float(values["shape"] == "b") + values["n"] / step  # noqa: E731
    _, trials = run(tmp_path, Budget(64), texts=["shape=a,b", "n=0:3"], function=function, fields=["shape"])
    assert len(trials) == 6 == len({repr(trial.values) for trial in trials})


@pytest.mark.parametrize(("texts", "words"), [
    ([], "needs a field"),
    (["x=1"], "has one value"),
    (["seed=0:3"], "config.seed"),
    (["x=2:1"], "does not fit"),
    (["x=0:1", "x=1:2"], "twice"),
])  # fmt: skip
def test_an_invalid_space_is_refused(texts, words):
    with pytest.raises(UserError, match=words):
        make_space([parse(text, {**KINDS, "seed": int}.__getitem__) for text in texts])


def test_a_search_without_a_valid_setting_is_refused(tmp_path):
    with pytest.raises(UserError, match="x is forbidden"), Stop() as stop:
        search.search(Surface(["x=1.95:2"]), tmp_path, Budget(16), stop)


def test_without_optuna_the_extra_is_named():
    program = (
        "import sys; sys.modules['optuna'] = None\n"
        "from jaxgan.sweeps.proposals import import_optuna\n"
        "from jaxgan.errors import UserError\n"
        "try: import_optuna()\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'jaxgan[search]'" in done.stdout, done.stderr


def test_a_damaged_journal_is_named(tmp_path):
    run(tmp_path, Budget(8))
    path = tmp_path / "journal.log"
    path.write_text(path.read_text()[:-20] + "\n{}\n")
    with pytest.raises(UserError, match="remove it"):
        open_study(path, Objective("loss", False))
    path.unlink()
    run(tmp_path, Budget(8))
    assert len(told(tmp_path)) == 8
    assert json.loads((tmp_path / "waves" / "0000" / "plan.json").read_text())["known"] == []
