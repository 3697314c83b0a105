"""Drawing from a trained generator, from Python and from the command line."""

import json
import shutil

import conditional
import numpy as np
import pytest
from gans import enlarge, load_digits, make_gan, make_state
from PIL import Image
from runs import launch, tiny_config

import jaxgan
from jaxgan.errors import UserError
from jaxgan.jobs.sample import sample
from jaxgan.losses import LOSSES
from jaxgan.models import DISCRIMINATORS
from jaxgan.models.multi import MultiGenerator
from jaxgan.run.record import changes
from jaxgan.sampler import Sampler
from jaxgan.sampler.programs import AT_ONCE, batch_of, conditions, drawn_at_once, generate, latents, vary


def test_sample_i_depends_on_the_seed_and_on_i_alone(trained):
    sampler = jaxgan.load(trained)
    images = sampler(seed=3, num=130)
    assert images.shape == (130, 8, 8, 1) and images.dtype == np.uint8 and images.std() > 0
    for num in (0, 1, 64, 65):
        assert np.array_equal(sampler(seed=3, num=num), images[:num])
    assert not np.array_equal(sampler(seed=4, num=8), images[:8])
    assert np.array_equal(np.concatenate(list(sampler.batches(3, 130))), images)
    assert np.array_equal(jaxgan.load(trained)(seed=3, num=5), images[:5])


def networks():
    """(GAN, weights of its generator), with all that draws differently."""
    for gan in (
        make_gan("mlp", batch_norm=True, latent="uniform"),
        make_gan("dcgan", latent="truncated", latent_dim=5),
        make_gan("mlp", shape=(2,), latent_dim=1),
        make_gan("mlp", shape=(64, 64, 3)),  # too large for many batches in a call
        make_gan("mlp", generator=MultiGenerator(make_gan().generator, 3), num_generators=3),
    ):
        yield gan, enlarge(make_state(gan), 2.0).ema
    for name in ("labels", "codes"):
        heads = {"regularizers.information.weight": 1.0} if name == "codes" else {}
        gan, state = conditional.make(conditional.configure(**{"condition.name": name}, **heads), grow=2.0)
        yield gan, state.ema


def test_samples_of_many_batches_have_the_bits_of_single_ones(exact):
    """Each batch as `latents`, `conditions` and `generate` make it, whatever is made in the same call."""
    seed, num = 5, 64 * 17 + 3
    for gan, weights in networks():
        assert drawn_at_once(gan) == batch_of(gan) * (1 if gan.shape == (64, 64, 3) else 16)
        places = [(np.uint32(seed), np.int32(first)) for first in range(0, num, batch_of(gan))]
        single = [generate(gan, weights, latents(gan, *place), conditions(gan, *place)) for place in places]
        samples = Sampler(gan, weights, 0, {}, {}, {})(seed=seed, num=num)
        np.testing.assert_array_equal(samples, np.concatenate(single)[:num])
        assert len(np.unique(samples.reshape(num, -1), axis=0)) > num / 2


def test_labels_and_codes_are_repeated_over_the_batches():
    gan, state = conditional.make(conditional.configure(), grow=2.0)
    sampler = Sampler(gan, state.ema, 0, {}, {}, {})
    z, labels = sampler.latents(2, 1100), np.resize([3, 1, 4], 1100)
    np.testing.assert_array_equal(sampler(2, 1100, labels=[3, 1, 4]), sampler.decode(z, labels))
    config = conditional.configure(**{"condition.name": "codes", "regularizers.information.weight": 1.0})
    gan, state = conditional.make(config, grow=2.0)
    sampler = Sampler(gan, state.ema, 0, {}, {}, {})
    codes = vary(sampler.codes(2, 1100), 0, np.resize([7, 0, 2], 1100))
    found = sampler(2, 1100, codes={0: [7, 0, 2]})
    np.testing.assert_array_equal(found, sampler.decode(z, codes=codes))


def test_the_averaged_generator_is_the_default(trained):
    ema, raw = jaxgan.load(trained), jaxgan.load(trained, weights="raw")
    assert not np.array_equal(ema(num=4), raw(num=4))
    assert ema.step == raw.step == 20


def test_the_discriminator_judges_images_and_points():
    """The same probabilities as from the discriminator's network, example by example."""
    images = load_digits()[:6]
    gan = make_gan("dcgan", packing=2, discriminator=make_gan("dcgan", shape=(8, 8, 2)).discriminator)
    state = make_state(gan)
    weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
    found = Sampler(gan, state.ema, 0, {}, weights, {}).judge(images)
    scaled = images / 127.5 - 1
    logits = gan.discriminator.apply({"params": weights["params"]}, np.concatenate([scaled, scaled], axis=-1))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), rtol=1e-5)
    assert found.shape == (6,)


def test_minibatch_discrimination_judges_many_examples_in_parts():
    """All of them together would need memory of the square of their number."""
    points = np.random.default_rng(0).normal(size=(AT_ONCE + 3, 2)).astype(np.float32)
    network = DISCRIMINATORS["mlp"]((2,), hidden=(4,), minibatch_discrimination=2)
    gan = make_gan("mlp", shape=(2,), discriminator=network)
    state = make_state(gan)
    weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
    judge = Sampler(gan, state.ema, 0, {}, weights, {}).judge
    np.testing.assert_array_equal(judge(points)[AT_ONCE:], judge(points[AT_ONCE:]))
    assert not np.allclose(judge(points)[:3], judge(points[:3]))


def test_probabilities_use_the_numbers_of_the_trained_loss(trained):
    gan = make_gan(loss=LOSSES["least_squares"])
    numbers = {"a": -1.0, "b": 1.0, "c": 0.0}
    assert Sampler(gan, {}, 0, {}, {}, numbers).threshold == 0.0
    assert Sampler(gan, {}, 0, {}, {}, {}).threshold == 0.5
    loaded = jaxgan.load(trained)
    assert loaded.loss_numbers.keys() == LOSSES.fields("nonsaturating").keys() and loaded.threshold == 0.5


def test_an_older_checkpoint_and_the_list_of_checkpoints(trained):
    assert jaxgan.load(trained, step=8).step == 8
    with pytest.raises(UserError, match=r"step 11.*\[8, 16, 20\]"):
        jaxgan.load(trained, step=11)


def test_what_cannot_be_loaded_is_named(trained, tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        jaxgan.load(tmp_path)
    with pytest.raises(UserError, match="ema, raw"):
        jaxgan.load(trained, weights="mean")
    shutil.copy(trained / "config.json", tmp_path)
    with pytest.raises(UserError, match="no checkpoint yet"):
        jaxgan.load(tmp_path)
    record = json.loads((trained / "config.json").read_text())
    del record["config"]["packing"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="another version of jaxgan .*packing"):
        jaxgan.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        jaxgan.load(tmp_path)


def test_the_interpolation_starts_and_ends_at_samples(trained):
    sampler = jaxgan.load(trained)
    images, way = sampler(seed=1, num=6), sampler.interpolate(seed=1, steps=5, pairs=3)
    assert way.shape == (15, 8, 8, 1)
    assert np.abs(way[0::5].astype(int) - images[0::2]).max() <= 1
    assert np.abs(way[4::5].astype(int) - images[1::2]).max() <= 1


def test_the_first_training_grid_shows_samples_0_to_63(trained):
    """The grid of fixed latents in the workdir is what `load(...)(seed=0)` draws."""
    with Image.open(trained / "samples" / "step_00000020.png") as picture:
        grid = np.asarray(picture.convert("L"))
    images = jaxgan.load(trained)(seed=0, num=64)
    zoom = 7  # 8 columns of 8 pixels, enlarged to 448 pixels
    corner = grid[24 + 2 : 24 + 2 + 8 * zoom : zoom, 2 : 2 + 8 * zoom : zoom]
    assert np.array_equal(corner, images[0, :, :, 0])


def test_the_sample_job_writes_pictures_and_arrays(trained, tmp_path, capsys):
    before = {path.name for path in (trained / "checkpoints").iterdir()}
    assert sample(trained, 70, tmp_path / "many.npz", 2, None, "ema") == 0
    expected = jaxgan.load(trained)(seed=2, num=70)
    with np.load(tmp_path / "many.npz") as file:
        assert np.array_equal(file["images"], expected)
    assert sample(trained, 66, tmp_path / "pngs", 2, None, "ema") == 0
    pngs = sorted((tmp_path / "pngs").iterdir())
    with Image.open(pngs[65]) as picture:
        assert len(pngs) == 66 and np.array_equal(np.asarray(picture), expected[65, :, :, 0])
    output = capsys.readouterr().out
    for name in ("grid.png", "interpolation.png", "training.gif"):
        assert name in output
        with Image.open(trained / name) as picture:
            assert min(picture.size) > 400
    assert {path.name for path in (trained / "checkpoints").iterdir()} == before


@pytest.mark.parametrize("num, out", [(-1, None), (0, "x.npz"), (3, "x.jpg")])
def test_wrong_requests(trained, tmp_path, num, out):
    with pytest.raises(UserError):
        sample(trained, num, out and tmp_path / out, 0, None, "ema")


def test_from_the_command_line_without_the_training_data(trained, tmp_path):
    """The fields of the training may be repeated; fields that make it another run are refused."""
    flags = ["--mode=sample", "--num=3", f"--out={tmp_path / 'three.npz'}"]
    done = launch(trained, flags=flags)
    assert done.returncode == 0 and "three.npz" in done.stdout, done.stderr
    with pytest.raises(UserError, match=r"--config.loss.name=hinge.*has nonsaturating"):
        changes(tiny_config(loss__name="hinge"), {"seed": 0, "loss.name": "hinge"}, trained)
    config = tiny_config(num_steps=7, evaluation__seed=3, augment__names=("flip,crop",))
    given = {"seed": 0, "num_steps": 7, "evaluation.seed": 3, "regularizers.r1.weight": 0.0}
    assert changes(config, given, trained) == {"evaluation.seed": 3}
    with pytest.raises(UserError, match="augment.names"):
        changes(config, given | {"augment.names": ("flip,crop",)}, trained)
    shutil.copytree(trained, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    record["config"]["augment"]["names"] = ["flip", "crop"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    assert changes(config, {"augment.names": ("flip,crop",)}, tmp_path / "run") == {}


def test_wrong_arguments_give_one_line(trained):
    sampler = jaxgan.load(trained)
    for call in (
        lambda: sampler.decode(np.zeros((2, 9))),
        lambda: sampler.decode(np.zeros(8)),
        lambda: sampler.interpolate(seed=-1),
        lambda: sampler.interpolate(pairs=0),
        lambda: sampler(seed=2**32),
        lambda: sampler(num=-1),
    ):
        with pytest.raises(UserError) as error:
            call()
        assert "\n" not in str(error.value) and len(str(error.value)) < 120
