"""Waves of GANs: they are halved together, and each member equals a separate run."""

import itertools
import json

import numpy as np
import pytest
from runs import launch, leaves, lines, tiny_config

from jaxgan.errors import UserError
from jaxgan.jobs.train import train
from jaxgan.run.workdir import Stop
from jaxgan.sweeps import plan, searching, waves
from jaxgan.sweeps.claims import claim
from jaxgan.sweeps.members import Members
from jaxgan.sweeps.population import select
from jaxgan.sweeps.search import Budget, read_waves
from jaxgan.sweeps.settings import GANs, find_objective
from jaxgan.sweeps.space import make_space

RATE = "generator_optimizer.adam.learning_rate"
SWEEPS = [f"{RATE}=log(1e-4:1e-1)", "loss.name=nonsaturating,hinge"]
OBJECTIVE = "reverse_kl_nearest_100"


def config(**overrides):
    return tiny_config(**{
        "dataset__name": "ring",
        "dataset__image_size": 0,
        "dataset__ring__num_points": 2_000,
        "dataset__hold_out": True,
        "generator__mlp__hidden": (8,),
        "discriminator__mlp__hidden": (8,),
        "evaluation__protocol": "100",
        "evaluation__statistics__names": ("mode_coverage",),
        "num_steps": 16,
        "steps_per_call": 4,
        "log_every": 8,
        "eval_every": 0,
        "checkpoint_every": 0,
        "sample_every": 0,
    } | overrides)  # fmt: skip


def runs():
    made = [plan.make_run(config(), f"{rate:g}", {RATE: rate}, 0, ()) for rate in (1e-3, 1e-2, 1e30, 3e-2)]
    return [run._replace(name=f"run{i}") for i, run in enumerate(made)]


def train_wave(folder, keep, stop=None, **more):
    workdirs = [folder / run.name for run in runs()]
    with claim(folder / "wave") as claimed, stop or Stop() as signals:
        about = "map", [4, 8, 16], OBJECTIVE, keep, signals, claimed, lambda status: None
        return waves.train_wave(folder / "wave", workdirs, runs(), *about, **more)


def keep_two_then_one(step, values):
    assert np.isnan(values).any() == (step == 4)
    return np.array([1, 3]) if step == 4 else np.array([1])


@pytest.fixture(scope="module")
def wave(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wave")
    return folder, train_wave(folder, keep_two_then_one)


def test_which_members_continue(wave):
    folder, outcomes = wave
    assert [outcome["status"] for outcome in outcomes] == ["pruned", "pruned", "diverged", "done"]
    assert [outcome["step"] for outcome in outcomes] == [4, 8, 0, 16]
    assert [[*outcome["rungs"]] for outcome in outcomes] == [["4"], ["4", "8"], [], ["4", "8", "16"]]
    assert all(outcome["seconds"] > 0 for outcome in outcomes)
    assert outcomes[3]["seconds"] > outcomes[1]["seconds"] > outcomes[0]["seconds"]
    evaluated = [line for line in lines(folder / "run1") if OBJECTIVE in line]
    assert [line["step"] for line in evaluated] == [4, 8]
    assert evaluated[-1][OBJECTIVE] == outcomes[1]["rungs"]["8"]


@pytest.mark.parametrize(("i", "step"), [(1, 8), (3, 16)])
def test_a_member_equals_a_separate_run(wave, tmp_path, i, step):
    """A pruned member, and one that continues after others were pruned."""
    folder, _ = wave
    alone = runs()[i].config
    alone.num_steps = step
    assert train(alone, tmp_path / "alone") == 0
    (found_step, found), (expected_step, expected) = leaves(folder / f"run{i}"), leaves(tmp_path / "alone")
    assert found_step == expected_step == step and found.keys() == expected.keys()
    for path, leaf in expected.items():
        np.testing.assert_allclose(found[path], leaf, rtol=1e-3, atol=1e-5, err_msg=path)
    logged = [line for line in lines(folder / f"run{i}") if "generator_loss" in line]
    for one, other in zip(logged, lines(tmp_path / "alone"), strict=True):
        assert one["generator_loss"] == pytest.approx(other["generator_loss"], rel=1e-3)


@pytest.mark.parametrize("calls", [
    pytest.param(1, marks=pytest.mark.slow),
    2,
    pytest.param(3, marks=pytest.mark.slow),
])  # fmt: skip
def test_a_killed_wave_resumes_exactly(wave, tmp_path, monkeypatch, calls):
    class Killed(Exception):
        pass

    seen = itertools.count()

    def call(self, end, call=Members._call):
        if next(seen) == calls:
            raise Killed
        call(self, end)

    monkeypatch.setattr(Members, "_call", call)
    with pytest.raises(Killed):
        train_wave(tmp_path, keep_two_then_one)
    folder, expected = wave
    found = train_wave(tmp_path, keep_two_then_one)
    timed = ("seconds",)
    for one, other in zip(found, expected, strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {
            k: v for k, v in other.items() if k not in timed
        }
    for run in runs():
        (_, one), (_, other) = leaves(tmp_path / run.name), leaves(folder / run.name)
        assert all(one[path].tobytes() == other[path].tobytes() for path in other)
        assert lines(tmp_path / run.name) == lines(folder / run.name)


def test_a_wave_without_continuing_members_ends(tmp_path):
    outcomes = train_wave(tmp_path, lambda step, values: np.zeros(0, int))
    assert [outcome["status"] for outcome in outcomes] == ["pruned", "pruned", "diverged", "pruned"]
    assert {outcome["step"] for outcome in outcomes if outcome["status"] == "pruned"} == {4}


def test_members_are_selected_by_rows():
    class States(dict):
        def replace(self, step):
            return States(self, step=step)

        @property
        def step(self):
            return self["step"]

    import jax

    jax.tree_util.register_pytree_node(
        States, lambda s: ([*s.values()], [*s]), lambda keys, leaves: States(zip(keys, leaves, strict=True))
    )
    found = select(States(a=np.arange(6).reshape(3, 2), step=np.int32(7)), np.array([2, 0]))
    assert found["a"].tolist() == [[4, 5], [0, 1]] and found["step"] == 7


def gans(tmp_path, sweeps=SWEEPS, wave=4, **overrides):
    space, made = make_space(plan.parse_axes(config(), sweeps)), config(**overrides)
    return GANs(made, space, find_objective(OBJECTIVE, made), Budget(8, wave), tmp_path, "map")


def test_fields_are_structural_or_numbers(tmp_path):
    problem = gans(tmp_path, [*SWEEPS, "ema_decay=0,0.5,0.9", "label_flip=0,0.1", "batch_size=16,32"])
    values = {RATE: 1e-3, "loss.name": "hinge", "ema_decay": 0.5, "label_flip": 0.1, "batch_size": 16}
    assert not problem.accept(values)
    fixed = problem.structural(values)
    assert {"loss.name", "label_flip", "batch_size"} <= fixed and RATE not in fixed
    assert problem.joins({**values, RATE: 5e-2}) and not problem.joins({**values, "loss.name": "minimax"})
    assert "ema_decay" in problem.accept({**values, "ema_decay": 2.0})


@pytest.mark.parametrize(("objective", "overrides", "words"), [
    ("fid_10k", {}, "no evaluation of this config gives it; there are: modes_100 ↑, good_100 ↑, reverse_kl"),
    (f"{OBJECTIVE},speed", {}, "beside the number there may be cost"),
    (OBJECTIVE, {"evaluation__statistics__names": ()}, "nothing is evaluated"),
    (OBJECTIVE, {"evaluation__protocol": "50k"}, "validation part"),
])  # fmt: skip
def test_impossible_objectives(objective, overrides, words):
    with pytest.raises(UserError, match=words):
        find_objective(objective, config(**overrides))


@pytest.mark.parametrize(("options", "sweeps", "words"), [
    ({"draws": 4}, SWEEPS, "--draws=4 is less than a wave of 8"),
    ({"objective": ""}, SWEEPS, "--objective=NUMBER"),
    ({}, [f"{RATE}=log(1e-2:1e-4)"], "does not fit"),
    ({}, [f"{RATE}=abc"], "'abc' is no float"),
    ({"population": "off"}, SWEEPS, "--population=off"),
])  # fmt: skip
def test_impossible_searches(tmp_path, options, sweeps, words):
    chosen = searching.Options(**{"objective": OBJECTIVE, "draws": 16, **options})
    with pytest.raises(UserError, match=words):
        searching.run(config(), sweeps, {}, (), tmp_path / "search", chosen)
    assert not (tmp_path / "search").exists()


def test_a_whole_search_and_its_report(tmp_path, capsys):
    folder, options = tmp_path / "search", searching.Options(OBJECTIVE, 6, 3, population="map")
    sweeps, lengths = [SWEEPS[0], "ema_decay=0.5:0.9"], {"num_steps": 12, "dataset__hold_out": False}
    assert searching.run(config(**lengths), sweeps, {}, (), folder, options) == 0
    trials = [*itertools.chain(*read_waves(folder))]
    assert len(trials) == 6 and {trial.status for trial in trials} <= {"done", "pruned", "diverged"}
    assert all(trial.cost > 0 for trial in trials if trial.step)
    page = (folder / "report.html").read_text()
    for word in (
        "History",
        "Importance",
        "Parallel coordinates",
        "Value and cost",
        "fresh samples",
        "test set",
    ):
        assert word in page, word
    (tested,) = json.loads((folder / "winner.json").read_text())
    assert tested["protocol"]["split"] == "test" and OBJECTIVE in tested["numbers"]
    assert json.loads((folder / "runs" / tested["run"] / "config.json").read_text())["config"]["dataset"][
        "hold_out"
    ]

    space = {}
    exec((folder / "best.py").read_text(), space)
    best = space["get_config"]()
    assert best.num_steps == 12 and best.steps_per_call == 4 and not best.dataset.hold_out
    assert best.generator_optimizer.adam.learning_rate == trials[tested["number"]].values[RATE]
    capsys.readouterr()

    before = (folder / "journal.log").read_bytes()
    assert searching.run(config(**lengths), sweeps, {}, (), folder, options) == 0  # everything is done
    assert (folder / "journal.log").read_bytes() == before
    with pytest.raises(UserError, match="another search .*batch_size was 16, now 8"):
        searching.run(config(**lengths, batch_size=8), sweeps, {}, (), folder, options)
    longer = options._replace(draws=9)  # the budget may increase
    assert searching.run(config(**lengths), sweeps, {}, (), folder, longer) == 0
    assert len([*itertools.chain(*read_waves(folder))]) == 9


def test_the_command_line(tmp_path):
    overrides = {"dataset__name": "ring", "dataset__image_size": 0, "evaluation__protocol": "100",
                 "evaluation__statistics__names": "mode_coverage"}  # fmt: skip
    flags = ["--mode=sweep", f"--sweep={SWEEPS[0]}", "--draws=8", f"--objective={OBJECTIVE}"]
    done = launch(tmp_path / "search", flags=[*flags, "--combine=search", "--dry_run"], **overrides)
    assert done.returncode == 0, done.stderr
    assert "8 settings in waves of 8, rungs at steps" in done.stdout and not (tmp_path / "search").exists()
    done = launch(tmp_path / "search", flags=[*flags, "--combine=random"], **overrides)
    assert done.returncode == 2 and "--objective is of --combine=search" in done.stderr
