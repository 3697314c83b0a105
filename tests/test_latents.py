import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxgan.errors import UserError
from jaxgan.latents import LATENTS, latent_keys, make_key, sample_latents

KEY = jnp.array([3, 141], jnp.uint32)
every_latent = pytest.mark.parametrize("name", list(LATENTS))


def draw(name, index, size=5, key=KEY):
    return np.asarray(sample_latents(name, make_key(key), jnp.asarray(index), size))


@pytest.fixture(scope="module")
def many():
    """20,000 draws of each distribution: [4000, 5]."""
    return {name: draw(name, np.arange(4000)) for name in LATENTS}


def same(found, expected):
    """Equal up to rounding: XLA may vectorize a batch and its tail differently (JAX 0.12, normal)."""
    np.testing.assert_allclose(found, expected, rtol=3e-7, atol=0)


@every_latent
def test_a_draw_depends_on_key_and_index_alone(name, many):
    assert many[name].shape == (4000, 5) and many[name].dtype == np.float32
    same(draw(name, np.arange(7)), many[name][:7])  # not on other indices
    same(draw(name, [2500, 3, 3]), many[name][[2500, 3, 3]])  # in any order
    again = jax.jit(lambda i: sample_latents(name, make_key(KEY), i, 5))(jnp.arange(100, 110))
    same(again, many[name][100:110])  # compiled or not
    alone = LATENTS[name](jax.random.fold_in(make_key(KEY), 11), 5)
    same(alone, many[name][11])  # batched or not


@every_latent
def test_other_keys_and_indices_give_other_draws(name, many):
    assert len(np.unique(many[name], axis=0)) == 4000
    for key in ([3, 142], [4, 141], [141, 3]):
        other = draw(name, np.arange(4000), key=jnp.array(key, jnp.uint32))
        assert not (other == many[name]).any(axis=1).any()
        assert abs(np.corrcoef(other.ravel(), many[name].ravel())[0, 1]) < 0.03  # 4/√20000


@every_latent
def test_coordinates_are_uncorrelated_and_centred(name, many):
    correlations = np.corrcoef(many[name].T)[~np.eye(5, dtype=bool)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(4000)
    assert abs(many[name].mean()) < 4 * many[name].std() / np.sqrt(20_000)


def test_normal_is_standard_normal(many):
    assert stats.kstest(many["normal"].ravel(), "norm").pvalue > 1e-3
    np.testing.assert_allclose(many["normal"].std(), 1, atol=4 / np.sqrt(40_000))


def test_uniform_is_uniform_between_minus_one_and_one(many):
    values = many["uniform"].ravel()
    assert -1 <= values.min() < -0.999 and 0.999 < values.max() < 1
    assert stats.kstest((values + 1) / 2, "uniform").pvalue > 1e-3
    np.testing.assert_allclose(values.var(), 1 / 3, atol=0.01)


@pytest.mark.parametrize("threshold", [0.3, 1.0, 2.0])
def test_truncated_is_normal_within_the_threshold(threshold):
    z = sample_latents("truncated", make_key(KEY), jnp.arange(4000), 5, threshold=threshold)
    values = np.asarray(z).ravel()
    assert 0.99 * threshold < np.abs(values).max() <= threshold
    assert stats.kstest(values, stats.truncnorm(-threshold, threshold).cdf).pvalue > 1e-3


def test_truncation_is_at_two_by_default_and_must_be_positive(many):
    same(sample_latents("truncated", make_key(KEY), jnp.arange(9), 5, threshold=2.0), many["truncated"][:9])
    for threshold in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="threshold=.* must be above 0"):
            sample_latents("truncated", make_key(KEY), jnp.arange(2), 3, threshold=threshold)


@jax.jit
def words(z):
    return jax.random.key_data(latent_keys(z))


def test_the_key_of_a_latent_is_derived_from_its_bits(many):
    z = many["normal"]
    keys = np.asarray(words(z))
    assert keys.shape == (4000, 2) and keys.dtype == np.uint32
    assert len(np.unique(keys, axis=0)) == 4000
    np.testing.assert_array_equal(words(z[5:9]), keys[5:9])  # not of other latents
    np.testing.assert_array_equal(words(jnp.bfloat16(z)), keys)  # computed in bfloat16 or not
    for other in (z[:, ::-1], -z, np.roll(z, 1, axis=1), z * np.float32([1, -1, 1, -1, 1])):
        assert not (np.asarray(words(other)) == keys).any(axis=1).any()


def test_a_change_of_one_coordinate_flips_half_of_the_bits_of_the_key(many):
    first, rest = jnp.bfloat16(many["normal"][:, :1]), jnp.bfloat16(many["normal"][:, 1:])
    nudged = jnp.concatenate([jnp.nextafter(first, jnp.bfloat16(9)), rest], axis=1)
    keys, others = np.asarray(words(many["normal"])), np.asarray(words(nudged))
    for words_of, draws in ((keys, 4000), (keys ^ others, 500)):  # few different first coordinates
        share = np.unpackbits(words_of.view(np.uint8), axis=1).mean(axis=0)
        assert np.abs(share - 0.5).max() < 4.5 / np.sqrt(4 * draws)


@every_latent
def test_the_default_random_generator_does_not_matter(name, many):
    with jax.default_prng_impl("rbg"):
        same(draw(name, np.arange(7)), many[name][:7])


def test_key_words_are_those_of_jax():
    key = jax.random.key(5, impl="threefry2x32")
    np.testing.assert_array_equal(jax.random.key_data(key), [0, 5])
    assert make_key(jax.random.key_data(key)) == key


def test_an_unknown_distribution_lists_the_known_ones():
    with pytest.raises(UserError, match="unknown latent 'gauss'; known: normal, truncated, uniform"):
        sample_latents("gauss", make_key(KEY), jnp.arange(2), 3)
