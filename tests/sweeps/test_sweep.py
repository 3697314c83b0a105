"""Whole sweeps of tiny runs: their files, and exact resumption."""

import json

import numpy as np
import pandas as pd
import pytest
from runs import launch, leaves, lines, tiny_config
from xla_flags import as_for_users

import jaxgan
from jaxgan.errors import UserError
from jaxgan.jobs.train import train
from jaxgan.sweeps import agreement, members, progress, sweep
from jaxgan.sweeps.claims import claim
from jaxgan.sweeps.plan import make_plan
from jaxgan.sweeps.sweep import Options

SWEEPS = "generator_optimizer.adam.learning_rate=0.01,0.002,1e30", "seed=0:2"
PART = "parts/0000"


def config(**overrides):
    return tiny_config(**{
        "dataset__name": "ring",
        "dataset__image_size": 0,
        "dataset__ring__num_points": 2_000,
        "generator__name": "mlp",
        "discriminator__name": "mlp",
        "generator__mlp__hidden": (8,),
        "generator__mlp__batch_norm": True,
        "discriminator__mlp__hidden": (8,),
        "evaluation__protocol": "100",
        "evaluation__statistics__names": ("mode_coverage",),
        "num_steps": 20,  # calls of 4 steps: all have one length, so one program is compiled
        "steps_per_call": 4,
        "log_every": 8,
        "eval_every": 12,
        "checkpoint_every": 4,
        "sample_every": 0,
    } | overrides)  # fmt: skip


def made():
    return make_plan(config(), SWEEPS)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep of six runs as one program with sequential members."""
    workdir = tmp_path_factory.mktemp("swept") / "sweep"
    with as_for_users():
        assert sweep.sweep(made(), workdir, Options(population="map", command="python launch.py")) == 0
    return workdir


def test_a_member_equals_a_separate_run(tmp_path):
    """Three members on two devices in parallel. Checkpoints and tables are compared."""
    together = make_plan(config(eval_every=0, num_devices=2), ["seed=0:3"])
    alone = make_plan(config(eval_every=0), ["seed=2"])
    assert sweep.sweep(together, tmp_path / "together", Options()) == 0
    assert sweep.sweep(alone, tmp_path / "alone", Options(population="off")) == 0
    name = alone.runs[0].name
    (step, one), (other_step, other) = (
        leaves(tmp_path / how / "runs" / name) for how in ("together", "alone")
    )
    assert step == other_step == 20 and one.keys() == other.keys()
    for path in one:
        np.testing.assert_allclose(one[path], other[path], rtol=1e-3, atol=1e-5, err_msg=path)
    tables = [pd.read_csv(tmp_path / how / "sweep.csv").set_index("run") for how in ("together", "alone")]
    for table in tables:
        assert (table.status == "done").all() and (table.seconds > 0).all()
    np.testing.assert_allclose(*(table.generator_loss[name] for table in tables), rtol=1e-3)
    assert "1 of 1 runs done, 0 running" in progress.describe([tmp_path / "alone" / PART], [[20]])


def test_a_separate_run_counts_all_its_seconds(tmp_path, monkeypatch):
    codes = [128 + 15, 0]
    monkeypatch.setattr(sweep.train, "train", lambda config, workdir: codes.pop(0))
    monkeypatch.setattr(sweep.time, "monotonic", iter([0.0, 100.0, 0.0, 1.0]).__next__)
    (tmp_path / "status.json").write_text(json.dumps({"step": 8}))  # from a population of one member
    assert sweep._train_alone(tmp_path, config(), tmp_path)[1] == 15
    with claim(tmp_path):
        assert "1 running" in progress.describe([tmp_path], [[20]])
    outcome, signal = sweep._train_alone(tmp_path, config(), tmp_path)
    assert not signal and outcome["status"] == "done" and outcome["seconds"] == 101


@pytest.mark.slow
def test_every_member_is_an_ordinary_run(exact, swept, tmp_path):
    plan = made()
    assert plan.programs == [[0, 1, 2, 3, 4, 5]]
    run, alone = plan.runs[3], tmp_path / "alone"
    assert train(run.config, alone) == 0
    view = swept / "runs" / run.name
    (step, found), (expected_step, expected) = leaves(view), leaves(alone)
    assert step == expected_step == 20 and found.keys() == expected.keys()
    for path, leaf in expected.items():
        assert found[path].dtype == leaf.dtype and found[path].tobytes() == leaf.tobytes(), path
    assert lines(view) == lines(alone)
    assert (view / "config.json").read_text() == (alone / "config.json").read_text()
    sampler = jaxgan.load(view)
    assert sampler.step == 20
    np.testing.assert_array_equal(sampler(num=5), jaxgan.load(alone)(num=5))


@pytest.mark.slow
def test_a_member_can_be_continued_as_a_separate_run(exact, swept, tmp_path):
    """It equals a separate run, including the unfinished window of metrics."""
    run, alone = made().runs[2], tmp_path / "alone"
    view = swept / "runs" / run.name
    longer = run.config.copy_and_resolve_references()
    longer.num_steps = 28
    assert train(run.config, alone) == 0
    assert train(longer, view) == 0 and train(longer, alone) == 0
    assert lines(view) == lines(alone)


@pytest.mark.slow
def test_diverged_members_are_frozen_and_reported(swept):
    outcomes = json.loads((swept / PART / "result.json").read_text())["runs"]
    assert [outcome["status"] for outcome in outcomes] == ["done"] * 4 + ["diverged"] * 2
    assert all("not finite" in outcome["reason"] for outcome in outcomes[4:])
    name = made().runs[4].name
    step, state = leaves(swept / "runs" / name)
    assert step == outcomes[4]["step"] < 20 and int(state["['step']"]) == step
    assert all(np.isfinite(leaf).all() for leaf in state.values())
    table = (swept / "table.md").read_text()
    assert "100 %" in table and "modes_100" in table
    assert all(outcome["reason"] in (swept / "report.html").read_text() for outcome in outcomes[4:])
    csv = (swept / "sweep.csv").read_text().splitlines()
    assert len(csv) == 7 and csv[0].startswith(
        "run,setting,generator_optimizer.adam.learning_rate,seed,status"
    )


@pytest.mark.slow
def test_a_population_without_healthy_members_ends(tmp_path, monkeypatch):
    ends = []

    def call(self, end, call=members.Members._call):
        ends.append(end)
        call(self, end)

    monkeypatch.setattr(members.Members, "_call", call)
    plan = make_plan(config(eval_every=0), ["generator_optimizer.adam.learning_rate=1e30", "seed=0:2"])
    assert sweep.sweep(plan, tmp_path / "sweep", Options(population="map")) == 0
    outcomes = json.loads((tmp_path / "sweep" / PART / "result.json").read_text())["runs"]
    assert [outcome["status"] for outcome in outcomes] == ["diverged"] * 2 and max(ends) < 20


@pytest.mark.slow
def test_a_finished_sweep_trains_nothing(swept, monkeypatch):
    monkeypatch.setattr(members, "Members", None)
    assert sweep.sweep(made(), swept, Options()) == 0


@pytest.mark.slow
def test_a_stopped_sweep_resumes_exactly(exact, swept, tmp_path, monkeypatch):
    """Stopped within a population, within a window of metrics, and before the first checkpoint."""
    stopped = []

    def stop_at(step, how):
        def call(self, end, call=members.Members._call):
            if end > step and not stopped:
                stopped.append(step)
                how()
            call(self, end)

        return call

    class Killed(Exception):
        pass

    def kill():
        raise Killed

    workdir, options = tmp_path / "sweep", Options(population="map", command="python launch.py")
    monkeypatch.setattr(members.Members, "_call", stop_at(8, kill))
    with pytest.raises(Killed):
        sweep.sweep(made(), workdir, options)
    monkeypatch.undo()
    signals = []

    def call(self, end, call=members.Members._call):
        call(self, end)
        if end == 12 and not signals:
            signals.append(15)
            self.stop.signal = 15

    original = members.Members.train

    def remember(self, stop, claimed, note):
        self.stop = stop
        return original(self, stop, claimed, note)

    monkeypatch.setattr(members.Members, "train", remember)
    monkeypatch.setattr(members.Members, "_call", call)
    assert sweep.sweep(made(), workdir, options) == 128 + 15
    assert sweep.sweep(made(), workdir, options) == 0
    monkeypatch.undo()
    for run in made().runs:
        one, other = workdir / "runs" / run.name, swept / "runs" / run.name
        (step, found), (expected_step, expected) = leaves(one), leaves(other, leaves(one)[0])
        assert step == expected_step
        for path, leaf in expected.items():
            assert found[path].tobytes() == leaf.tobytes(), (run.name, path)
        assert lines(one) == [line for line in lines(other) if line["step"] <= 20]


@pytest.mark.slow
def test_other_sweeps_and_runs_are_refused(swept, tmp_path):
    with pytest.raises(UserError, match="another sweep"):
        sweep.sweep(make_plan(config(), SWEEPS[1:]), swept, Options())
    with pytest.raises(UserError, match="another sweep .*batch_size"):
        sweep.sweep(make_plan(config(batch_size=8), SWEEPS), swept, Options())
    with pytest.raises(UserError, match="single run"):
        sweep.sweep(made(), swept / "runs" / made().runs[0].name, Options())
    with pytest.raises(UserError, match="baseline"):
        sweep.sweep(made(), swept, Options(baseline="nobody"))


def test_a_sweep_keeps_its_data_and_its_parts(tmp_path):
    """Other data, parts or options of another process are refused."""
    planned = make_plan(config(eval_every=0), ["seed=0:2"])
    known = {
        **agreement.record(planned, [[0, 1]], Options()),
        "runs": [{**run, "data": "ring (hash 00)"} for run in agreement._describe(planned)],
    }
    with pytest.raises(UserError, match="another sweep .*data='ring .hash 00.', now 'ring .hash [1-9a-f]"):
        agreement.require_same(planned, known, Options(), tmp_path)
    known["runs"] = agreement._describe(planned)
    agreement.require_same(planned, known, Options(population="map", size=2), tmp_path)
    with pytest.raises(UserError, match="begun without --population=off"):
        agreement.require_same(planned, known, Options(population="off"), tmp_path)
    with pytest.raises(UserError, match="parts of up to 2 runs"):
        agreement.require_same(planned, known, Options(size=1), tmp_path)


def test_a_population_has_no_more_members_than_files_may_be_open(monkeypatch):
    monkeypatch.setattr(agreement, "_MOST_MEMBERS", 2)
    parts = agreement.divide(make_plan(config(), ["seed=0:3"]), Options())
    assert parts == [[0, 1], [2]]


def test_dry_run_writes_nothing(tmp_path, capsys):
    options = Options(dry_run=True, size=4)
    assert sweep.sweep(made(), tmp_path / "sweep", options) == 0
    assert "6 runs (3 settings), 1 programs, 2 parts" in capsys.readouterr().out
    assert not (tmp_path / "sweep").exists()


def test_runs_are_evaluated_at_their_end(tmp_path, capsys):
    """By default. The plan announces it, and the table has the numbers."""
    plan = make_plan(config(eval_every=0), evaluate=True)
    assert sweep.sweep(plan, tmp_path / "sweep", Options(population="map")) == 0
    said = capsys.readouterr().out
    assert (
        "evaluation: every run at its end (protocol 100; statistics: mode_coverage); --evaluate=off" in said
    )
    table = pd.read_csv(tmp_path / "sweep" / "sweep.csv")
    assert table["modes_100"].notna().all()
    run = tmp_path / "sweep" / "runs" / plan.runs[0].name
    assert [line["step"] for line in lines(run) if "modes_100" in line] == [20]
    for how, said in ((make_plan(config(eval_every=0)), "none"), (made(), "every 12 steps and at the end")):
        sweep.sweep(how, tmp_path / "other", Options(dry_run=True))
        assert f"evaluation: {said}" in capsys.readouterr().out


def test_the_command_line(tmp_path):
    flags = "--mode=sweep", "--sweep=ema_decay=0,0.9", "--sweep=loss.name=hinge,minimax", "--sweep=seed=0:3"
    done = launch(tmp_path / "sweep", flags=(*flags, "--dry_run"))
    assert done.returncode == 0, done.stderr
    assert "12 runs (4 settings), 2 programs" in done.stdout and not (tmp_path / "sweep").exists()
    assert "every run at its end" in done.stdout
    done = launch(tmp_path / "sweep", flags=(*flags, "--dry_run", "--evaluate=off"))
    assert done.returncode == 0 and "evaluation: none" in done.stdout


def test_a_separate_run_has_one_device_if_cores_are_devices(monkeypatch):
    assert sweep._on_one_device(config(num_devices=0)).num_devices == 0  # devices simulated by the user
    monkeypatch.setattr(sweep.devices, "uses_cores", lambda: True)
    assert sweep._on_one_device(config(num_devices=0)).num_devices == 1
    assert sweep._on_one_device(config(num_devices=2)).num_devices == 2


def test_named_settings_are_chosen(tmp_path):
    flags = "--mode=sweep", "--dry_run", "--settings=GAN,Pac"
    done = launch(tmp_path / "sweep", config="configs/pacgan.py", flags=flags)
    assert (
        done.returncode == 2 and "has GAN, PacGAN2, PacGAN3, PacGAN4, RpGAN+R1+R2, not 'Pac'" in done.stderr
    )


def test_progress_counts_all_processes(tmp_path):
    folders = [tmp_path / name for name in "abcd"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / "result.json").write_text(
        json.dumps({"runs": [{"status": "done"}, {"status": "diverged"}]})
    )
    status = {"step": 50, "members": 4, "alive": 3, "seconds_per_step": 0.5}
    (folders[1] / "status.json").write_text(json.dumps(status))
    (folders[2] / "failed.json").write_text(json.dumps({"reason": "no memory"}))
    steps = [[100] * 2, [100] * 4, [100], [100] * 4]
    with claim(folders[1]):
        said = progress.describe(folders, steps)
    assert said == "sweep: 1 of 11 runs done, 3 running, 2 diverged, 1 failed, about 0:01:15 left"
