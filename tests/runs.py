"""Small real runs for the end-to-end tests."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
from xla_flags import xla_flags

from jaxgan.run.checkpoint import Checkpoints

ROOT = Path(__file__).parents[1]

# Networks with all layers that have state or random numbers (batch norm, spectral norm, dropout) on the
# embedded digits. They are dense, which compiles fast, or a DCGAN if a test selects it.
TINY = {
    "dataset.name": "digits",
    "dataset.image_size": 8,
    "generator.name": "mlp",
    "generator.mlp.hidden": (16,),
    "generator.mlp.batch_norm": True,
    "discriminator.name": "mlp",
    "discriminator.mlp.hidden": (16,),
    "discriminator.mlp.dropout": 0.1,
    "discriminator.mlp.spectral_norm": "dense",
    "generator.dcgan.channels": (8, 4, 4),
    "generator.dcgan.kernels": (3, 3, 3),
    "discriminator.dcgan.channels": (4, 8),
    "discriminator.dcgan.kernels": (3, 3),
    "discriminator.dcgan.dropout": 0.1,
    "discriminator.dcgan.spectral_norm": "conv",
    "generator_optimizer.adam.learning_rate": 0.01,
    "discriminator_optimizer.adam.learning_rate": 0.01,
    "latent_dim": 8,
    "batch_size": 16,
    "num_devices": 1,
    "num_steps": 60,
    "steps_per_call": 2,  # divides every period, so one program is compiled
    "log_every": 4,
    "sample_every": 20,
    "checkpoint_every": 8,
}
DCGAN = {"generator__name": "dcgan", "discriminator__name": "dcgan"}  # overrides


def changes(overrides):
    """TINY with overrides ('__' in names stands for '.'), without fields of components not selected."""
    fields = {**TINY, **{name.replace("__", "."): value for name, value in overrides.items()}}
    for network in ("generator", "discriminator"):
        if any(name.startswith(f"{network}__dcgan__") for name in overrides):
            fields[f"{network}.name"] = "dcgan"
        for section in (network, f"{network}_optimizer"):
            chosen = fields.get(f"{section}.name", "adam")
            for name in TINY:
                if name.startswith(f"{section}.") and name.count(".") > 1 and name.split(".")[1] != chosen:
                    del fields[name]
    return fields


def tiny_config(**overrides):
    """configs/default.py with TINY and overrides."""
    from configs import default

    config = default.get_config()
    config.update_from_flattened_dict(changes(overrides))
    return config


def arguments(workdir, config="configs/default.py", **overrides):
    """The command line of `tiny_config(**overrides)` in `workdir`."""
    fields = [f"--config.{name}={value}" for name, value in changes(overrides).items()]
    return [
        sys.executable,
        str(ROOT / "launch.py"),
        f"--config={ROOT / config}",
        f"--workdir={workdir}",
        *fields,
    ]


def environment(**more):
    """The tests' environment without simulated devices, as for a user's run."""
    keep = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return {**keep, "JAX_PLATFORMS": "cpu", **more}


def quick_environment(devices=1):
    """For runs whose speed does not matter: little optimization, and no TensorFlow."""
    return environment(XLA_FLAGS=xla_flags(devices), PYTHONPATH=str(ROOT / "tests" / "without_tensorflow"))


def launch(workdir, *, timeout=300, env=None, flags=(), **overrides):
    """Runs the command to its end; returns the completed process with its output as text."""
    command = [*arguments(workdir, **overrides), *flags]
    return subprocess.run(command, env=env or environment(), capture_output=True, text=True, timeout=timeout)


def free_address():
    """A free port of this machine."""
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{some.getsockname()[1]}"


@contextlib.contextmanager
def several(num, command, env=None):
    """`num` processes of `command(address, i)`, with text output. All have ended on exit."""
    address = free_address()
    with contextlib.ExitStack() as stack:
        processes = []
        for i in range(num):
            output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
            process = subprocess.Popen(command(address, i), env=env or environment(), **output)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield processes


def together(num, workdir, *flags, **overrides):
    """The processes of one run, as a user starts them."""
    overrides = {"num_devices": 0, **overrides}

    def command(address, i):
        where = [f"--coordinator={address}", f"--num_processes={num}", f"--process_id={i}"]
        return [*arguments(workdir, **overrides), *where, *flags]

    return several(num, command)


def lines(workdir):
    """The lines of metrics.jsonl, without timings."""
    rows = [json.loads(line) for line in (Path(workdir) / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def values(workdir):
    """The values in the TensorBoard events, each with its step."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    for path in Path(workdir).glob("events.out.tfevents.*"):
        for record in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(record)
            for value in event.summary.value:
                yield event.step, value


def curves(workdir):
    """The scalars in the TensorBoard events, as sorted (step, tag, value)."""
    points = []
    for step, value in values(workdir):
        content = value.tensor.float_val or value.tensor.tensor_content or value.tensor.string_val
        if value.metadata.plugin_data.plugin_name != "hparams" and "hparams" not in value.tag:
            points.append((step, value.tag, str(content)))
    return sorted(points)


def hparams(workdir):
    """All records of hyper-parameters in the TensorBoard events."""
    from tensorboard.plugins.hparams import metadata

    found = []
    for _, value in values(workdir):
        if value.tag == metadata.SESSION_START_INFO_TAG:
            info = metadata.parse_session_start_info_plugin_data(value.metadata.plugin_data.content)
            found.append({name: getattr(v, v.WhichOneof("kind")) for name, v in info.hparams.items()})
    return found


def leaves(workdir, step=None):
    """A checkpoint, the newest by default: its step, and every leaf of the state by path."""
    import jax

    with Checkpoints(Path(workdir) / "checkpoints", read_only=True) as saved:
        checkpoint = saved.restore(step)
    flat = jax.tree_util.tree_flatten_with_path(checkpoint.tree)[0]
    return checkpoint.step, {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}


def shown(path):
    """The pixels and metadata of a picture, without the run's name."""
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()
        said = {name: text for name, text in picture.text.items() if name != "Run"}
        return picture.mode, picture.size, picture.tobytes(), said


def assert_same_run(workdir, reference):
    """Asserts that every leaf, metric line, TensorBoard scalar and sample picture is bitwise equal."""
    (step, found), (expected_step, expected) = leaves(workdir), leaves(reference)
    assert step == expected_step and found.keys() == expected.keys() and len(found) > 50
    for path, leaf in expected.items():
        assert found[path].dtype == leaf.dtype and found[path].tobytes() == leaf.tobytes(), path
    assert lines(workdir) == lines(reference) and lines(reference)
    assert curves(workdir) == curves(reference) and curves(reference)
    pictures = sorted(path.name for path in (Path(reference) / "samples").iterdir())
    assert sorted(path.name for path in (Path(workdir) / "samples").iterdir()) == pictures
    for name in pictures:
        assert shown(Path(workdir) / "samples" / name) == shown(Path(reference) / "samples" / name)
