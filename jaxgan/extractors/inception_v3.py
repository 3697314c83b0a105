"""Inception-v3 as FID, KID and the inception score define it: the network of 2015-12-05, for inference.

Modules have the names of the network's PyTorch ports (pytorch-fid, torch-fidelity), so that weights can be
converted by name, and layers compared: `apply(..., capture_intermediates=True)` returns every output.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax import lax

SIZE = 299  # pixels of a side
NUM_FEATURES = 2048
NUM_CLASSES = 1008  # ImageNet's thousand in positions 1 to 1000; the others were never trained

# By default accelerators multiply float32 in bfloat16 or TF32, with 3 digits. Distances would then differ
# from those in published tables.
_PRECISION = lax.Precision.HIGHEST


class BasicConv2d(nn.Module):
    """Convolution without bias, batch normalization by its running averages (ε = 0.001), ReLU."""

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(
            self.features,
            self.kernel,
            (self.stride, self.stride),
            self.padding,
            use_bias=False,
            precision=_PRECISION,
            name="conv",
        )(x)
        return nn.relu(nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")(x))


def _conv(name, features, height, width, **options):
    return BasicConv2d(features, (height, width), name=name, **options)


_reduce = functools.partial(_conv, stride=2, padding="VALID")


def _mean_pool(x):
    """3 x 3 mean of the pixels inside the image, as in TensorFlow; PyTorch's default counts zeros outside."""
    return nn.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)


def _max_pool(x, stride=2, padding="VALID"):
    return nn.max_pool(x, (3, 3), (stride, stride), padding)


def _join(*branches):
    return jnp.concatenate(branches, axis=-1)


class InceptionA(nn.Module):
    """`[B, 35, 35, C] -> [B, 35, 35, 224 + pool_features]`."""

    pool_features: int

    @nn.compact
    def __call__(self, x):
        five = _conv("branch5x5_1", 48, 1, 1)(x)
        five = _conv("branch5x5_2", 64, 5, 5)(five)
        three = _conv("branch3x3dbl_1", 64, 1, 1)(x)
        three = _conv("branch3x3dbl_2", 96, 3, 3)(three)
        three = _conv("branch3x3dbl_3", 96, 3, 3)(three)
        pool = _conv("branch_pool", self.pool_features, 1, 1)(_mean_pool(x))
        return _join(_conv("branch1x1", 64, 1, 1)(x), five, three, pool)


class InceptionB(nn.Module):
    """`[B, 35, 35, 288] -> [B, 17, 17, 768]`."""

    @nn.compact
    def __call__(self, x):
        double = _conv("branch3x3dbl_1", 64, 1, 1)(x)
        double = _conv("branch3x3dbl_2", 96, 3, 3)(double)
        double = _reduce("branch3x3dbl_3", 96, 3, 3)(double)
        return _join(_reduce("branch3x3", 384, 3, 3)(x), double, _max_pool(x))


class InceptionC(nn.Module):
    """`[B, 17, 17, 768] -> [B, 17, 17, 768]`, its 7 x 7 convolutions as 1 x 7 and 7 x 1."""

    features: int

    @nn.compact
    def __call__(self, x):
        once = _conv("branch7x7_1", self.features, 1, 1)(x)
        once = _conv("branch7x7_2", self.features, 1, 7)(once)
        once = _conv("branch7x7_3", 192, 7, 1)(once)
        twice = _conv("branch7x7dbl_1", self.features, 1, 1)(x)
        twice = _conv("branch7x7dbl_2", self.features, 7, 1)(twice)
        twice = _conv("branch7x7dbl_3", self.features, 1, 7)(twice)
        twice = _conv("branch7x7dbl_4", self.features, 7, 1)(twice)
        twice = _conv("branch7x7dbl_5", 192, 1, 7)(twice)
        pool = _conv("branch_pool", 192, 1, 1)(_mean_pool(x))
        return _join(_conv("branch1x1", 192, 1, 1)(x), once, twice, pool)


class InceptionD(nn.Module):
    """`[B, 17, 17, 768] -> [B, 8, 8, 1280]`."""

    @nn.compact
    def __call__(self, x):
        three = _conv("branch3x3_1", 192, 1, 1)(x)
        three = _reduce("branch3x3_2", 320, 3, 3)(three)
        seven = _conv("branch7x7x3_1", 192, 1, 1)(x)
        seven = _conv("branch7x7x3_2", 192, 1, 7)(seven)
        seven = _conv("branch7x7x3_3", 192, 7, 1)(seven)
        seven = _reduce("branch7x7x3_4", 192, 3, 3)(seven)
        return _join(three, seven, _max_pool(x))


class InceptionE(nn.Module):
    """`[B, 8, 8, C] -> [B, 8, 8, 2048]`. The last block has a max pool instead of an average pool."""

    max_pool: bool = False

    @nn.compact
    def __call__(self, x):
        three = _conv("branch3x3_1", 384, 1, 1)(x)
        three = _join(
            _conv("branch3x3_2a", 384, 1, 3)(three),
            _conv("branch3x3_2b", 384, 3, 1)(three),
        )
        double = _conv("branch3x3dbl_1", 448, 1, 1)(x)
        double = _conv("branch3x3dbl_2", 384, 3, 3)(double)
        double = _join(
            _conv("branch3x3dbl_3a", 384, 1, 3)(double),
            _conv("branch3x3dbl_3b", 384, 3, 1)(double),
        )
        pool = _max_pool(x, 1, "SAME") if self.max_pool else _mean_pool(x)
        pool = _conv("branch_pool", 192, 1, 1)(pool)
        return _join(_conv("branch1x1", 320, 1, 1)(x), three, double, pool)


class _Logits(nn.Module):
    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (x.shape[-1], NUM_CLASSES))
        bias = self.param("bias", nn.initializers.zeros, (NUM_CLASSES,))
        unbiased = jnp.matmul(x, kernel, precision=_PRECISION)
        return unbiased, unbiased + bias


class InceptionV3(nn.Module):
    """`[B, 299, 299, 3]`, float32 in [-1, 1], to features and logits.

    Returns:
      `features` `[B, 2048]`: means over the last 8 x 8 positions, `pool_3` of the original.
      `logits` `[B, 1008]`, and `logits_unbiased`, without the last layer's bias.

    Source: Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, as trained on
    ImageNet and frozen by TensorFlow on 2015-12-05, which Salimans et al. 2016 and Heusel et al. 2017 used.
    It differs from other Inception-v3 networks in its average pools, one max pool, 1008 classes and weights.
    """

    @nn.compact
    def __call__(self, images):
        x = _reduce("Conv2d_1a_3x3", 32, 3, 3)(images)
        x = _conv("Conv2d_2a_3x3", 32, 3, 3, padding="VALID")(x)
        x = _conv("Conv2d_2b_3x3", 64, 3, 3)(x)
        x = _max_pool(x)
        x = _conv("Conv2d_3b_1x1", 80, 1, 1)(x)
        x = _conv("Conv2d_4a_3x3", 192, 3, 3, padding="VALID")(x)
        x = _max_pool(x)
        x = InceptionA(32, name="Mixed_5b")(x)
        x = InceptionA(64, name="Mixed_5c")(x)
        x = InceptionA(64, name="Mixed_5d")(x)
        x = InceptionB(name="Mixed_6a")(x)
        x = InceptionC(128, name="Mixed_6b")(x)
        x = InceptionC(160, name="Mixed_6c")(x)
        x = InceptionC(160, name="Mixed_6d")(x)
        x = InceptionC(192, name="Mixed_6e")(x)
        x = InceptionD(name="Mixed_7a")(x)
        x = InceptionE(name="Mixed_7b")(x)
        x = InceptionE(max_pool=True, name="Mixed_7c")(x)
        features = x.mean(axis=(1, 2))
        unbiased, logits = _Logits(name="fc")(features)
        return {"features": features, "logits": logits, "logits_unbiased": unbiased}


@functools.cache
def weight_shapes() -> dict[str, tuple[int, ...]]:
    """The shapes of all weights by their names, such as `params/Mixed_5b/branch1x1/conv/kernel`."""
    images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    variables = jax.eval_shape(InceptionV3().init, jax.random.key(0), images)
    return {name: leaf.shape for name, leaf in flatten_dict(variables, sep="/").items()}
