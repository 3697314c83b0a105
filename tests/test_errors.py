"""Bad input gives one line with the remedy and an exit status. Saved data are never lost."""

import shlex
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from runs import DCGAN, arguments, launch, leaves, quick_environment, tiny_config

from jaxgan.config import experiment
from jaxgan.errors import Diverged, UserError
from jaxgan.jobs.train import train
from jaxgan.run.workdir import claim

# wrong flag → words that the message must contain
COMMAND_LINES = {
    "--config.num_step=3": ["num_step", "num_steps"],
    "--config.loss.hinge.a=1": ["loss.hinge.a"],
    "--config.num_steps=many": ["num_steps", "many"],
    "--config.loss.name=hnge": ["hnge", "hinge", "wasserstein"],
    "--mode=trian": ["trian", "train"],
    "--confg=x": ["confg", "config"],
    "stray": ["stray"],
    "--config.loss=hinge": ["--config.loss.name=hinge"],
    "--config.los.name=hinge": ["los.name", "loss"],
    "--config.regularizers.r1=5": ["regularizers.r1.weight=5"],
    "--config=configs/dcgan_mnsit.py": ["no such file", "dcgan_mnsit"],
    "--config=configs/recipes.py:wgan_gp,dcgan_mnsit": ["dcgan_mnsit.py", "recipe,config,variant"],
    "--config=configs/recipes.py:wgan-pg": ["'wgan-pg'", "has wgan, wgan_lp, wgan_gp", "configs/recipes.py"],
    "--sweep=seed=0:3": ["--sweep", "--mode=sweep", "--mode=train"],
}


@pytest.mark.parametrize("flag", COMMAND_LINES)
def test_a_wrong_command_line_gives_one_line(tmp_path, flag):
    failed = launch(tmp_path / "run", env=quick_environment(), flags=[flag])
    assert failed.returncode == 2, failed.stderr
    assert failed.stderr.count("\n") == 1 and failed.stderr.startswith("error: "), failed.stderr
    assert len(failed.stderr) < 300
    assert all(word in failed.stderr for word in COMMAND_LINES[flag]), failed.stderr
    assert not (tmp_path / "run").exists()


def test_a_config_file_with_a_missing_import(tmp_path):
    (tmp_path / "mine.py").write_text("import my_losses\n")
    failed = launch(tmp_path / "run", config=tmp_path / "mine.py", env=quick_environment())
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1, failed.stderr
    assert "my_losses" in failed.stderr and "PYTHONPATH" in failed.stderr


# overrides → words of the message
CONFIGS = {
    "unselected": ({"loss__least_squares__a": -1.0}, ["loss.least_squares.a", "loss.name=least_squares"]),
    "lengths": ({"generator__dcgan__kernels": (3, 3)}, ["kernels", "same length"]),
    "points": (
        {"dataset__name": "ring", "dataset__image_size": 0, **DCGAN},
        ["makes images", "mlp"],
    ),
    "loss": ({"loss__name": "vanilla"}, ["vanilla", "minimax"]),
    "latent": ({"latent": "gauss"}, ["gauss", "normal"]),
    "dataset": ({"dataset__name": "minst"}, ["minst", "mnist"]),
    "parallel": ({"parallel": "xmap"}, ["xmap", "pmap"]),
    "batch_statistics": ({"batch_statistics": "device"}, ["batch_statistics", "parallel=pmap"]),
    "order": ({"update_order": "both"}, ["both", "simultaneous"]),
    "batch": ({"batch_size": 0}, ["batch_size", "at least 1"]),
    "ema": ({"ema_decay": 1.0}, ["ema_decay", "[0, 1)"]),
    "module": ({"modules": ("no_such_module",)}, ["no_such_module", "PYTHONPATH"]),
    "folder": ({"dataset__name": "images", "dataset__path": "no/such/folder"}, ["no/such/folder"]),
    "array": ({"dataset__name": "array", "dataset__path": ""}, ["dataset.path"]),
    "regular expression": (
        {"discriminator__dcgan__spectral_norm": "*"},
        ["spectral_norm", "regular expression"],
    ),
    "whole numbers": ({"generator__dcgan__channels": (8.0, 4, 4)}, ["channels", "whole numbers"]),
    "spectral norm": ({"discriminator__mlp__spectral_norm": "True"}, ["'True'", "dense_0, output"]),
    "smoothing": ({"loss__nonsaturating__real_label": 1.5}, ["real_label=1.5", "[0, 1]"]),
    "dropout": ({"discriminator__dcgan__dropout": 30.0}, ["dropout", "[0, 1)"]),
    "fallback": ({"dataset__fallback": "digit"}, ["digit", "digits"]),
    "profile": ({"profile_at": 99}, ["profile_at", "num_steps"]),
    "init_from": ({"init_from": "no/such/run"}, ["no/such/run"]),
    "negative rate": (
        {"generator_optimizer__adam__learning_rate": -0.1},
        ["generator_optimizer.adam.learning_rate=-0.1"],
    ),
    "huge batch": ({"batch_size": 2**31}, ["batch_size", "2^30"]),
    "seed of points": (
        {
            "dataset__name": "ring",
            "dataset__image_size": 0,
            "dataset__ring__seed": -1,
            "generator__name": "mlp",
            "discriminator__name": "mlp",
        },
        ["dataset.ring.seed"],
    ),
    "weights": ({"class_balance": "weights", "class_weights": ("a", "b")}, ["class_weights", "numbers"]),
    "home": ({"dataset__name": "images", "dataset__path": "~nobody_here/x"}, ["~nobody_here/x"]),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_a_wrong_config_is_refused_before_anything_is_written(tmp_path, case):
    overrides, words = CONFIGS[case]
    with pytest.raises(UserError) as error:
        train(tiny_config(**overrides), tmp_path / "run")
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path, trained):
    config = tiny_config(seed=5, batch_size=8, num_steps=99, sample_every=7, steps_per_call=3)
    with pytest.raises(UserError, match=r"batch_size \(was 16, now 8\); seed \(was 0, now 5\)") as error:
        train(config, trained)
    assert "num_steps" not in str(error.value) and "sample_every" not in str(error.value)


def test_other_data_are_refused(tmp_path):
    """The config and the path are the same, but the content of the file has changed."""
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((24, 8, 8, 1), np.uint8) + np.arange(24, dtype=np.uint8)[:, None, None, None])
    overrides = {
        "dataset__name": "array",
        "dataset__path": str(path),
        "num_steps": 2,
        "dataset__image_size": 0,
    }
    assert train(tiny_config(**overrides), tmp_path / "run") == 0
    np.save(tmp_path / "moved.npy", np.load(path))
    np.save(path, np.zeros((24, 8, 8, 1), np.uint8) + 7)
    with pytest.raises(UserError, match="was trained on 'array'"):
        train(tiny_config(**overrides | {"num_steps": 4}), tmp_path / "run")
    moved = overrides | {"num_steps": 4, "dataset__path": str(tmp_path / "moved.npy")}
    assert train(tiny_config(**moved), tmp_path / "run") == 0


def test_a_damaged_image_is_named_and_skipped_only_on_request(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
    for i, image in enumerate(noise):
        Image.fromarray(image).save(folder / f"{i:02d}.png")
    (folder / "03.png").write_bytes((folder / "03.png").read_bytes()[:40])
    overrides = {"dataset__name": "images", "dataset__path": str(folder), "num_steps": 2}
    with pytest.raises(UserError, match=r"03\.png"):
        train(tiny_config(**overrides), tmp_path / "run")
    assert train(tiny_config(**overrides, dataset__images__skip_damaged=True), tmp_path / "run") == 0


def test_init_from_refuses_networks_whose_shapes_would_broadcast(tmp_path, trained):
    """Grey networks cannot initialize a colour run, although their shapes would broadcast."""
    np.save(tmp_path / "colour.npy", np.zeros((24, 8, 8, 3), np.uint8))
    overrides = {"dataset__name": "array", "dataset__path": str(tmp_path / "colour.npy")}
    with pytest.raises(UserError, match="other shapes"):
        train(tiny_config(**overrides, init_from=str(trained)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_of_a_run_killed_at_its_start_is_reused(tmp_path):
    """The run was killed before config.json existed: the same command starts from the beginning."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").touch()
    (tmp_path / "run" / "config.json.tmp").write_text("{")
    assert train(tiny_config(num_steps=4), tmp_path / "run") == 0


def test_a_run_without_a_checkpoint_may_start_with_another_config(tmp_path, trained):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text((trained / "config.json").read_text())
    assert train(tiny_config(num_steps=4, seed=7), tmp_path / "run") == 0


def test_a_finished_run_that_lost_its_checkpoints_is_not_overwritten(tmp_path, trained):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    shutil.rmtree(run / "checkpoints")
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(UserError, match="20 steps, but no whole checkpoint"):
        train(tiny_config(num_steps=20), run)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_run_killed_during_its_only_save_starts_again(tmp_path, trained):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    for path in (run / "checkpoints").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert train(tiny_config(num_steps=20, checkpoint_every=1_000), run) == 0


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="thesis.tex"):
        train(tiny_config(num_steps=2), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_workdir_in_use_is_refused_before_the_data_are_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "load_dataset", None)
    with claim(tmp_path / "run"), pytest.raises(UserError, match="in use by another process"):
        train(tiny_config(num_steps=4), tmp_path / "run")


def test_nan_ends_the_run_with_status_3_and_keeps_what_was_saved(tmp_path):
    """Gradient descent with a far too large learning rate. Earlier checkpoints stay complete."""
    explosive = {
        "loss__name": "wasserstein",
        "generator__mlp__hidden": (256, 512),  # in a few steps
        "discriminator__mlp__hidden": (256, 512),
        "discriminator__mlp__spectral_norm": "",
        "discriminator_optimizer__name": "sgd",
        "discriminator_optimizer__sgd__learning_rate": 1e4,
        "checkpoint_every": 1,
        "steps_per_call": 1,
        "log_every": 1,
    }
    with pytest.raises(Diverged, match="diverged at step|not finite at step") as error:
        train(tiny_config(**explosive), tmp_path / "run")
    assert error.value.exit_status == 3
    process = launch(tmp_path / "process", env=quick_environment(), **explosive)
    assert process.returncode == 3 and "diverged: " in process.stderr and "Traceback" not in process.stderr
    step, state = leaves(tmp_path / "run")
    assert 1 <= step < 60 and all(np.isfinite(leaf).all() for leaf in state.values())


def test_a_full_disk_while_saving(tmp_path):
    """With a file size limit of 4 KiB the save fails; the previous checkpoint is still valid."""
    assert train(tiny_config(num_steps=8), tmp_path / "run") == 0
    before = leaves(tmp_path / "run")
    command = shlex.join(arguments(tmp_path / "run", num_steps=16))
    limited = ["bash", "-c", f"trap '' XFSZ; ulimit -f 4; {command}"]
    failed = subprocess.run(limited, env=quick_environment(), capture_output=True, text=True)
    assert failed.returncode == 2, failed.stderr
    error = [line for line in failed.stderr.splitlines() if line.startswith("error: ")]
    assert len(error) == 1 and "run the same command again" in error[0] and "Traceback" not in failed.stderr
    after = leaves(tmp_path / "run")
    assert after[0] == before[0] and all(
        after[1][path].tobytes() == leaf.tobytes() for path, leaf in before[1].items()
    )
    assert train(tiny_config(num_steps=16), tmp_path / "run") == 0
