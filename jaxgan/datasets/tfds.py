"""`tfds/<name>`: any image set of TensorFlow Datasets, in the folders that TFDS uses.

Sets prepared as tfrecord cannot be indexed and are decoded once into the cache, and so are small sets
prepared as array_record. Large ones stay encoded and are read by index. TensorFlow prepares sets, and decodes
the JPEGs of tfrecord files.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jaxgan.datasets import cache, tfds_prepare
from jaxgan.datasets.dataset import DATASETS, Dataset, Fingerprint, MissingDataset, hold_out
from jaxgan.datasets.decode import MODES
from jaxgan.datasets.resize import RULE, Size, pair
from jaxgan.datasets.tfds_records import RandomAccess, Records
from jaxgan.errors import UserError


@DATASETS.register("tfds")
def build(
    split: str,
    path: str,
    image_size: Size,
    name: str = "",
    *,
    image_key: str = "image",
    label_key: str = "label",
    decode_below_gb: float = 4.0,
) -> Dataset:
    """An image set by its TFDS name, downloaded and prepared if needed.

    Args:
      split: 'train' or 'test'; a set without 'test' gives its 'validation', and without both every sixth
        example of its 'train' is held out.
      path: TFDS's `data_dir`; '' for `$TFDS_DATA_DIR` or ~/tensorflow_datasets.
      image_size: see `load`; 0 keeps the stored size.
      name: TFDS's name, with configuration and version as it writes them: 'cifar10', 'cifar10:3.0.2'.
      image_key, label_key: the features to use; without the second there are no labels.
      decode_below_gb: array_record sets that are larger once decoded (10^9 bytes) stay encoded.

    The order is that of the prepared files, which TFDS shuffles when it writes them.
    """
    if not name:
        raise UserError("dataset 'tfds' needs the name of a set: 'tfds/cifar10', for instance")
    builder = tfds_prepare.find(name, path)
    if builder is None:
        declared = tfds_prepare.make_builder(name, path).info.features
        if declared:  # before a download
            _image_shape(declared, f"tfds/{name}", image_key)
        try:
            builder = tfds_prepare.prepare(name, path)
        except MissingDataset as missing:
            place = path or tfds_prepare.default_data_dir()
            raise MissingDataset(
                f"TFDS '{name}' is not prepared in {place}, and {missing}; connect to the network, or set "
                "dataset.path or TFDS_DATA_DIR to a folder where it is prepared",
                _declared_size(tfds_prepare.make_builder(name, path), image_key),
            ) from missing
    return read(builder, f"tfds/{name}", split, image_size, image_key, label_key, decode_below_gb)


def read(
    builder: Any,
    name: str,
    split: str,
    image_size: Size,
    image_key: str = "image",
    label_key: str = "label",
    decode_below_gb: float = 4.0,
) -> Dataset:
    """One split of a prepared set. `builder` is TFDS's; the other arguments are those of `build`."""
    stored, held_out = _resolve_split(builder, name, split)
    features, info = builder.info.features, builder.info.splits[stored]
    rows = hold_out(info.num_examples, split) if held_out else np.arange(info.num_examples)
    shape = _image_shape(features, name, image_key)
    if image_size:
        shape = (*pair(image_size), shape[2])
    elif None in shape:
        raise UserError(f"dataset '{name}': the images differ in size; set dataset.image_size: {RULE}")
    if label_key not in features or not _is_class(features[label_key]):
        label_key = ""
    class_names = tuple(getattr(features[label_key], "names", None) or ()) if label_key else ()
    folder = Path(builder.data_path)
    try:
        files = cache.identity([*map(Path, info.filepaths), folder / "dataset_info.json"])
    except OSError as error:
        raise UserError(
            f"{error.filename} is missing or unreadable: {folder} is there only in part; "
            "remove it and let it be prepared anew, or copy it again"
        ) from error
    key = {"files": files, "split": stored, "image_size": image_size, "features": [image_key, label_key]}
    key |= {"hold_out": split} if held_out else {}
    records = Records(builder, name, stored, rows, image_key, label_key, shape, image_size)
    kept = info.num_examples - len(rows) if held_out and split == "train" else 0
    part = f", {'every sixth' if split == 'test' else 'without every sixth'}" if held_out else ""
    origin = f"TFDS {builder.info.full_name}, split '{stored}'{part}, in {folder}"

    indexed = builder.info.file_format.value == "array_record"
    if indexed and len(rows) * np.prod(shape) > decode_below_gb * 1e9:
        source = RandomAccess(records)
        encoded = cache.decoded(f"{name}-{stored}-index", {"index": True, **key}, records.digests)
        content = Fingerprint()
        content.update(encoded.examples)
        digest = content.digest(source.shape, np.uint8, encoded.labels)
        return Dataset(name, source, encoded.labels, digest, origin, class_names=class_names, held_out=kept)
    chunks = records.from_array_record if indexed else records.from_tfrecord
    decoded = cache.decoded(f"{name}-{stored}", key, chunks)
    return Dataset(name, *decoded, origin, class_names=class_names, held_out=kept)


def _resolve_split(builder, name, split):
    """(TFDS's split to read, whether the requested one is held out from it)."""
    known = list(builder.info.splits)
    tests = [test for test in ("test", "validation") if test in known]
    if "train" in known and not tests:
        return "train", True
    stored = tests[0] if split == "test" and tests else split
    if stored not in known:
        raise UserError(f"dataset '{name}' has no '{split}' split; it has {', '.join(known) or 'none'}")
    return stored, False


def _is_class(feature: Any) -> bool:
    """Whether a feature is an integer, not a text (such as names of persons) or a tensor."""
    return not feature.shape and np.issubdtype(feature.np_dtype, np.integer)


def _image_shape(features, name, image_key):
    """(H, W, C) with None for sizes that vary; UserError if it is no uint8 image."""
    import tensorflow_datasets as tfds

    feature = features[image_key] if image_key in features else None
    if not isinstance(feature, tfds.features.Image):
        images = [key for key in features if isinstance(features[key], tfds.features.Image)]
        hint = f"set dataset.tfds.image_key to {' or '.join(images)}" if images else "it holds no images"
        raise UserError(f"dataset '{name}' has no image feature '{image_key}'; {hint}")
    height, width, channels = feature.shape
    if feature.np_dtype != np.uint8 or channels not in MODES:
        raise UserError(
            f"dataset '{name}': images are {np.dtype(feature.np_dtype).name} with {channels} channels; "
            "need uint8 with 1, 3 or 4: save it as a .npy file and use dataset.name = 'array'"
        )
    return height, width, channels


def _declared_size(builder, image_key):
    """Of its images, from TFDS's description; 0 where it names none."""
    features = builder.info.features or {}
    shape = features[image_key].shape if image_key in features else ()
    if len(shape) != 3 or None in shape[:2]:
        return 0
    return shape[0] if shape[0] == shape[1] else tuple(shape[:2])
