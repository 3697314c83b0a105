"""Splits a training set into the validation part and the rest."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from jaxgan.datasets.dataset import HOLD_OUT_EVERY, Dataset, Digest, hold_out, take
from jaxgan.errors import UserError


def validation_split(train: Dataset, split: str) -> Dataset:
    """The examples without the validation part ('train'), or this part ('test'): see `validation_rows`.

    Args:
      train: the whole training set.
      split: 'train' or 'test'.

    Raises:
      UserError: the set is too small for two parts.
    """
    if len(train) < HOLD_OUT_EVERY:
        raise UserError(f"{len(train)} examples leave none for the validation part, which is every sixth")
    content = f"validation|{split}|{train.fingerprint}".encode()
    in_memory = type(train.examples) is np.ndarray
    return dataclasses.replace(
        train,
        examples=train.examples[hold_out(len(train), split)] if in_memory else _Rows(train.examples, split),
        labels=None if train.labels is None else train.labels[hold_out(len(train), split)],
        fingerprint=Digest(hashlib.blake2b(content, digest_size=16).hexdigest()),
        partner=None if train.partner is None else validation_split(train.partner, split),
        origin=f"{train.origin}; {'without' if split == 'train' else 'only'} its validation part",
    )


class _Rows:
    """The rows of a split of examples that are read from disk; see `Dataset.examples`."""

    def __init__(self, examples: Any, split: str):
        self._examples, self._split = examples, split
        of_test = len(examples) // HOLD_OUT_EVERY
        num = of_test if split == "test" else len(examples) - of_test
        self.dtype, self.shape = np.dtype(examples.dtype), (num, *examples.shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitems__(self, rows: np.ndarray) -> np.ndarray:
        """The same rows as `hold_out`, computed by arithmetic: there may be 2^30 of them."""
        rows, kept = np.asarray(rows, np.int64), HOLD_OUT_EVERY - 1
        rows = rows * HOLD_OUT_EVERY + kept if self._split == "test" else rows + rows // kept
        return take(self._examples, rows)
