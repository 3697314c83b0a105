"""Standing statistics: the means over a number of batches, by hand; the same wherever they are asked for."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gans import make_gan, make_state
from runs import tiny_config

import jaxgan
from jaxgan import sampler
from jaxgan.config import experiment
from jaxgan.errors import UserError
from jaxgan.evaluation.evaluator import make_evaluator
from jaxgan.jobs.train import train


def test_they_are_the_mean_statistics_of_the_batches():
    gan = make_gan(batch_norm=True)
    weights = make_state(gan).ema
    found = sampler.with_standing_statistics(gan, weights, 2)
    z = [np.float64(sampler.latents(gan, np.uint32(2**32 - 1), np.int32(first))) for first in (0, 64)]
    hidden = [part @ np.float64(weights["params"]["dense_0"]["kernel"]) for part in z]
    of_norm = found["model_state"]["batch_stats"]["batch_norm_0"]
    np.testing.assert_allclose(of_norm["mean"], np.mean([h.mean(0) for h in hidden], axis=0), atol=1e-5)
    np.testing.assert_allclose(of_norm["var"], np.mean([h.var(0) for h in hidden], axis=0), rtol=1e-4)
    assert found["params"] is weights["params"]
    assert sampler.with_standing_statistics(gan, weights, 0) is weights
    # they depend on the weights alone, so that a second time changes nothing
    again = sampler.with_standing_statistics(gan, found, 2)
    jax.tree.map(np.testing.assert_array_equal, again, found)


def test_vectors_of_spectral_norm_and_several_generators_are_left_alone():
    """Statistics are found in copies of a generator, too, and beside other variables of the collection."""
    config = tiny_config(generator__mlp__spectral_norm="dense", num_generators=2, generator__mlp__hidden=(4,))
    gan = experiment.make_gan(config, (8, 8, 1))
    weights = jax.jit(lambda key: gan.generator.init(key, jnp.zeros((2, gan.latent_dim))))(jax.random.key(0))
    state = {"batch_stats": weights["batch_stats"]}
    found = sampler.with_standing_statistics(gan, {"params": weights["params"], "model_state": state}, 1)
    for j in range(2):
        before, after = (part["batch_stats"][f"generator_{j}"] for part in (state, found["model_state"]))
        np.testing.assert_array_equal(after["spectral_dense_0"]["u"], before["spectral_dense_0"]["u"])
        assert (np.asarray(after["batch_norm_0"]["var"]) != 1).all()


def test_samples_and_evaluations_use_the_same_ones(trained, tmp_path):
    """Of a run that asks for them, or of a later evaluation; under pmap the generator knows a device axis."""
    plain = jaxgan.load(trained)
    standing = sampler.with_standing_statistics(plain.gan, plain.weights, 3)
    shutil.copytree(trained, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "standing_statistics" not in record["config"]["evaluation"]  # as in runs from before
    record["config"]["evaluation"]["standing_statistics"] = 3
    (tmp_path / "run" / "config.json").write_text(json.dumps(record))
    drawn = jaxgan.load(tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, drawn.weights, standing)
    assert not np.array_equal(drawn(num=8), plain(num=8))
    back = sampler.load(tmp_path / "run", standing_statistics=0)
    np.testing.assert_array_equal(back(num=8), plain(num=8))

    config = tiny_config(evaluation__protocol="100", evaluation__extractor__name="raw")
    dataset = experiment.load_dataset(config)
    under_pmap = experiment.make_gan(config, (8, 8, 1), "devices")
    config.evaluation.standing_statistics = 3
    evaluator = make_evaluator(config, under_pmap, dataset)
    assert evaluator.protocol["standing_statistics"] == 3
    config.evaluation.standing_statistics = 0
    of_running = make_evaluator(config, plain.gan, dataset)
    assert "standing_statistics" not in of_running.protocol
    assert evaluator(plain.weights) == of_running(standing) != of_running(plain.weights)


def test_a_generator_without_batch_norm_is_refused():
    gan = make_gan()
    with pytest.raises(UserError, match="standing_statistics is set, but the generator has no batch norm"):
        sampler.with_standing_statistics(gan, make_state(gan).ema, 2)


def test_such_a_run_is_refused_at_its_start(tmp_path):
    config = tiny_config(evaluation__standing_statistics=2, generator__mlp__batch_norm=False, eval_every=0)
    with pytest.raises(UserError, match="the generator has no batch norm: set it to 0"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints").exists()
