"""A small convolutional classifier, trained on the labels of the data set: for numbers without Inception.

It is trained once for each data set and kept in the cache folder. Numbers are comparable only if they come
from the same weights, which have a digest in `evaluation.json`; `weights` names a file to share. The
validation part of the training set is left out of its training, for floors.
"""

import functools
import hashlib
import json
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging
from tqdm import tqdm

from jaxgan.augment import AUGMENTATIONS
from jaxgan.compilation import compiler_options
from jaxgan.datasets import Dataset, cache, hold_out, order, take, validation_rows
from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS, Extractor, files
from jaxgan.models.layers import Conv, batch_norm

_FORMAT = 2  # increase it when the network or its training change, so that old classifiers are not used
_BATCH = 128
_STEPS_PER_CALL = 100
_GOOD = 0.9  # accuracy; the names of a worse classifier's numbers say so
_BLOCK_BYTES = 2**28  # at most, of the images of a call


class Classifier(nn.Module):
    """Strided convolutions to 4..7 pixels, a hidden layer of F features, K logits."""

    classes: int
    features: int = 128

    @nn.compact
    def __call__(self, images, train: bool = False):
        x, width = images, 32
        while max(x.shape[1:3]) > 7:
            x = Conv(width, 5, 2, use_bias=False, name=f"conv_{width}")(x)
            x = nn.relu(batch_norm(x, train=train, axis_name=None, name=f"batch_norm_{width}"))
            width *= 2
        x = nn.Dropout(0.3, deterministic=not train)(x.reshape(len(x), -1))
        x = nn.relu(nn.Dense(self.features, name="features")(x))
        return {"features": x, "logits": nn.Dense(self.classes, name="logits")(x)}


@EXTRACTORS.register("classifier")
def classifier(load, shape, *, num_steps: int = 1_200, weights: str = "") -> Extractor:
    """The last hidden layer (128 numbers, after its ReLU) and the class logits.

    Its numbers are called `classifier_...`. If its accuracy is below 90 %, they are called
    `weak_classifier_...`: for such a classifier noise can look like the data.

    If the channels are images of their own (Stacked-MNIST), the classifier looks at one channel. Features of
    the channels are concatenated, there are no logits, and the mode is the number with the classes as digits.

    Args:
      load: `split -> Dataset`, with labels. If the test split has none, the accuracy is measured on the
        validation part.
      shape: of one image.
      num_steps: training steps of 128 images.
      weights: a file of this extractor to use instead of training one; '' is the cache folder.

    Raises:
      UserError: points, or images without labels, or `weights` is not such a file.
    """
    if len(shape) != 3:
        raise UserError("evaluation.extractor.name=classifier takes images, not points: choose raw")
    train, test = (_single(load(split)) for split in ("train", "test"))
    if train.labels is None or len(np.unique(train.labels)) < 2:
        raise UserError(
            f"evaluation.extractor.name=classifier needs labels of two classes or more, and '{train.name}' "
            "has none: choose inception or raw, or give labels (class folders, or labels in the .npz)"
        )
    classes, counts = np.unique(train.labels, return_counts=True)
    network = Classifier(len(classes))
    parts = shape[2] // train.shape[2]

    def extract(weights, images):
        if parts == 1:
            return network.apply(weights, _scale(images))
        singles = jnp.moveaxis(images, -1, 1).reshape(-1, *train.shape)
        found = network.apply(weights, _scale(singles))
        digits = found["logits"].argmax(axis=-1).reshape(-1, parts)
        places = len(classes) ** np.arange(parts - 1, -1, -1)
        return {"features": found["features"].reshape(len(images), -1), "modes": digits @ places}

    key = {"format": _FORMAT, "num_steps": num_steps, "train": train.fingerprint, "test": test.fingerprint}
    name = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=10).hexdigest()
    kept = cache.folder().parent / "extractors" / f"{train.name}-{name}.npz"
    path = Path(weights).expanduser() if weights else kept
    try:
        found, about = files.read(path)
    except (OSError, ValueError) as error:
        if weights:
            raise UserError(f"evaluation.extractor.classifier.weights: {error}") from error
        if not isinstance(error, FileNotFoundError):
            logging.warning("%s; training a classifier again", error)
        found, about = _train(network, train, test, num_steps)
        about["digest"] = files.digest(found)
        found, about = files.store(path, found, about)
    expected = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *train.shape)))
    if jax.tree.map(np.shape, found) != jax.tree.map(np.shape, expected):
        raise UserError(f"{path} is a classifier for other images or classes than those of '{train.name}'")
    shares = functools.reduce(np.multiply.outer, [counts / counts.sum()] * parts).reshape(-1)
    protocol = {**about, "file": path.name, "resize": "none", "value_range": "[-1, 1]"}
    name = "classifier" if about.get("accuracy", 0.0) >= _GOOD else "weak_classifier"
    unseen = "validation" if about.get("num_validation") else "test"
    return Extractor(name, extract, found, protocol, shares, unseen)


def _single(dataset: Dataset) -> Dataset:
    return dataset.parts or dataset


def _scale(images):
    return images.astype(jnp.float32) / 127.5 - 1


def _train(network: Classifier, train: Dataset, test: Dataset, num_steps: int):
    """Weights, and the accuracy on examples that it has not seen: Adam, a cosine, shifts by up to 7 %."""
    print(f"training a classifier of {train.name}, once ({num_steps} steps) ...", flush=True)
    training, validation = hold_out(len(train), "train"), validation_rows(len(train))
    labels = np.unique(train.labels, return_inverse=True)[1].astype(np.int32)
    variables = network.init(jax.random.key(0), jnp.zeros((1, *train.shape)))
    optimizer = optax.adam(optax.cosine_onecycle_schedule(num_steps, 4e-3, pct_start=0.2))
    shift = AUGMENTATIONS["translation"](ratio=0.07)
    key = jax.random.key(1)

    def step(state, inputs):
        params, statistics, moments = state
        i, images, labels = inputs
        shift_key, dropout_key = jax.random.split(jax.random.fold_in(key, i))
        batch = jax.vmap(shift)(jax.random.split(shift_key, _BATCH), _scale(images))

        def loss(params):
            variables, rngs = {"params": params, **statistics}, {"dropout": dropout_key}
            outputs, updated = network.apply(variables, batch, True, mutable=["batch_stats"], rngs=rngs)
            losses = optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], labels)
            return losses.mean(), updated

        gradients, statistics = jax.grad(loss, has_aux=True)(params)
        updates, moments = optimizer.update(gradients, moments)
        return (optax.apply_updates(params, updates), statistics, moments), None

    run = jax.jit(
        lambda state, inputs: jax.lax.scan(step, state, inputs)[0],
        donate_argnums=0,
        compiler_options=compiler_options(),
    )
    params, statistics = variables.pop("params"), variables
    state = params, statistics, optimizer.init(params)
    most = max(1, min(_STEPS_PER_CALL, _BLOCK_BYTES // (_BATCH * int(np.prod(train.shape)))))
    for first in tqdm(range(0, num_steps, most), "classifier", disable=None, leave=False):
        steps = np.arange(first, min(first + most, num_steps))
        rows = order.rows(np.zeros(2, np.uint32), first, _BATCH, len(training), count=len(steps) * _BATCH)
        rows = training[rows]
        images = take(train.examples, rows).reshape(len(steps), _BATCH, *train.shape)
        jax.block_until_ready(state)  # wait for the previous call, so that at most two blocks are in memory
        state = run(state, (steps, images, labels[rows].reshape(len(steps), _BATCH)))
    weights = jax.device_get({"params": state[0], **state[1]})
    seen = {"num_steps": num_steps, "num_train": len(training), "num_validation": len(validation)}
    if test.labels is not None:
        of, dataset, rows = "test", test, np.arange(len(test))
    else:
        of, dataset, rows = "validation", train, validation
    accuracy = _accuracy(network, weights, dataset, rows, np.unique(train.labels))
    print(f"its accuracy on {len(rows)} {of} images: {100 * accuracy:.2f} %", flush=True)
    return weights, {"accuracy": accuracy, "accuracy_of": f"{len(rows)} {of} images", **seen}


def _accuracy(network, weights, dataset, rows, classes):
    predict = jax.jit(lambda images: network.apply(weights, _scale(images))["logits"].argmax(axis=-1))
    right = 0
    for first in range(0, len(rows), 1000):
        some = rows[first : first + 1000]
        right += int(np.sum(classes[predict(take(dataset.examples, some))] == dataset.labels[some]))
    return right / len(rows)
