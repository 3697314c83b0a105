"""Reading the records of a set that TensorFlow Datasets (TFDS) has prepared."""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from jaxgan.datasets import cache, tfds_prepare
from jaxgan.datasets.decode import DamagedImage, decode, stack
from jaxgan.datasets.resize import resize_array
from jaxgan.errors import UserError
from jaxgan.files import read_records

_BATCH = 512  # examples read at a time, which bounds the memory


class Records:
    """Reads the images and labels of one split from either of TFDS's file formats.

    Args:
      builder: TFDS's, of a prepared set.
      name: of the set, for messages.
      split: a split that the set has.
      rows: int [N], ascending: the examples of it to read.
      image_key, label_key: the features to read; '' for no labels.
      shape: (H, W, C) of an image as read, that is after resizing.
      image_size: to which images are resized; 0 keeps their size.
    """

    def __init__(self, builder, name, split, rows, image_key, label_key, shape, image_size):
        self.name, self.rows, self.shape = name, rows, shape
        self._builder, self._split, self._size = builder, split, image_size
        self._image_key, self._label_key = image_key, label_key
        self._features = {key: True for key in (image_key, label_key) if key}
        self._count = builder.info.splits[split].num_examples

    def from_tfrecord(self) -> cache.Chunks:
        """The images and labels, in the files' order; TensorFlow is needed except for plain PNGs."""
        logging.info("decoding %s once into %s", self.name, cache.folder())
        count, stored = 0, self._stored()
        threads = os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            while examples := list(islice(stored, _BATCH)):
                first, end = np.searchsorted(self.rows, [count, count + len(examples)])
                wanted = self.rows[first:end] - count
                count += len(examples)
                if examples := [examples[i] for i in wanted]:
                    size = -(
                        -len(examples) // threads
                    )  # a task for each image would cost more than decoding a small image
                    parts = [examples[i : i + size] for i in range(0, len(examples), size)]
                    images = [image for part in pool.map(self._images_of_tfrecord, parts) for image in part]
                    yield self.stack(images, self.rows[first:end]), self._labels(examples)
        self._check_count(count)

    def from_array_record(self) -> cache.Chunks:
        """The images and labels; needs no TensorFlow."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for examples in self._examples():
                images = list(pool.map(self.image, examples))
                yield self.stack(images, range(len(images))), self._labels(examples)

    def digests(self) -> cache.Chunks:
        """A hash of each encoded image, uint8 [n, 16], and the labels: the content without decoding it."""
        for examples in self._examples():
            hashes = [hashlib.blake2b(x[self._image_key], digest_size=16).digest() for x in examples]
            yield np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 16), self._labels(examples)

    def source(self) -> Any:
        """TFDS's random-access source of unparsed records in array_record files."""
        import tensorflow_datasets as tfds

        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        try:
            source = self._builder.as_data_source(split=self._split, deserialize_method=raw)
        except Exception as error:  # array_record's own errors have no common base
            reason = tfds_prepare.one_line(error)
            raise UserError(f"dataset '{self.name}' cannot be opened ({reason}): {self._remedy()}") from error
        self._check_count(len(source))
        return source

    def read(self, source: Any, rows: list[int]) -> list[dict[str, Any]]:
        """The examples at some rows of a `source`."""
        try:
            return [self._parse(record) for record in source.__getitems__(rows)]
        except Exception as error:  # as above
            reason = tfds_prepare.one_line(error)
            raise UserError(f"dataset '{self.name}' is corrupt ({reason}): {self._remedy()}") from error

    @functools.cached_property
    def _parse(self) -> Callable[[bytes], dict[str, Any]]:
        """A function from a record to the requested features, without TensorFlow; images stay encoded."""
        import tensorflow_datasets as tfds

        features = tfds.features.FeaturesDict({k: self._builder.info.features[k] for k in self._features})
        encoded = {self._image_key: tfds.decode.SkipDecoding()}
        return functools.partial(features.deserialize_example_np, decoders=encoded)

    def image(self, example: dict[str, Any]) -> np.ndarray:
        """uint8 [H, W, C] of an example from a `source`."""
        try:
            return decode(example[self._image_key], self.shape[2], self._size)
        except DamagedImage as error:
            raise UserError(
                f"dataset '{self.name}' holds a damaged image ({error}): {self._remedy()}"
            ) from error

    def stack(self, images: list[np.ndarray], rows: Any) -> np.ndarray:
        """uint8 [n, H, W, C]; UserError where an image has another size than the set declares."""
        return stack(images, [f"row {row}" for row in rows], f"dataset '{self.name}'", self.shape)

    def _examples(self) -> Iterator[list[dict[str, Any]]]:
        source = self.source()
        for start in range(0, len(self.rows), _BATCH):
            yield self.read(source, self.rows[start : start + _BATCH].tolist())

    def _stored(self) -> Iterator[dict[str, Any]]:
        """The examples in the tfrecord files."""
        for file in self._builder.info.splits[self._split].filepaths:
            try:
                for record in read_records(Path(file)):
                    yield self._parse(record)
            except Exception as error:  # a wrong checksum, a file cut short, a record of another kind
                reason = tfds_prepare.one_line(error)
                raise UserError(
                    f"dataset '{self.name}' is corrupt or there only in part ({reason}): {self._remedy()}"
                ) from error

    def _images_of_tfrecord(self, examples: list[dict[str, Any]]) -> list[np.ndarray]:
        return [self._image_of_tfrecord(example) for example in examples]

    def _image_of_tfrecord(self, example: dict[str, Any]) -> np.ndarray:
        """uint8 [H, W, C], decoded by TensorFlow, whose JPEG decoder differs from Pillow's."""
        data, channels = example[self._image_key], self.shape[2]
        if _is_plain_png(data, channels):
            try:
                image = decode(data, channels)
            except DamagedImage as error:
                raise UserError(
                    f"dataset '{self.name}' holds a damaged image ({error}): {self._remedy()}"
                ) from error
        else:
            tf = tfds_prepare.require_tensorflow(f"decoding '{self.name}' for the first time")
            try:
                image = tf.image.decode_image(data, channels=channels, expand_animations=False).numpy()
            except tf.errors.OpError as error:
                kind = type(error).__name__
                raise UserError(
                    f"dataset '{self.name}' holds a damaged image ({kind}): {self._remedy()}"
                ) from error
        return resize_array(image[None], self._size)[0]

    def _labels(self, examples):
        key = self._label_key
        return np.array([example[key] for example in examples], np.int32) if key else None

    def _check_count(self, count):
        if count != self._count:
            raise UserError(
                f"dataset '{self.name}' has {count:,} examples where its dataset_info.json promises "
                f"{self._count:,}: {self._remedy()}"
            )

    def _remedy(self):
        return f"remove {self._builder.data_path} and let it be prepared anew, or copy it again"


def _is_plain_png(data: bytes, channels: int) -> bool:
    """Whether it is an 8-bit PNG with these channels, which all decoders read alike."""
    colour_type = {1: 0, 3: 2, 4: 6}[channels]
    plain = data[:8] == b"\x89PNG\r\n\x1a\n" and data[24:26] == bytes([8, colour_type])
    return plain and b"tRNS" not in data and b"eXIf" not in data


class RandomAccess:
    """Images read and decoded by index from array_record files; see `Dataset.examples`."""

    dtype = np.dtype(np.uint8)

    def __init__(self, records: Records):
        self._records = records
        self._source = records.source()
        self.shape = (len(records.rows), *records.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitems__(self, rows: np.ndarray) -> np.ndarray:
        """uint8 [n, H, W, C] of the rows [n], decoded in the calling thread."""
        examples = self._records.read(self._source, self._records.rows[rows].tolist())
        return self._records.stack([self._records.image(example) for example in examples], rows)
