"""The validation part of the training set, on which a search measures and does not train."""

import dataclasses

import numpy as np
import pytest
from runs import tiny_config

from jaxgan import datasets
from jaxgan.config import experiment
from jaxgan.config.essential import essential
from jaxgan.datasets import from_arrays, take, validation_rows, validation_split
from jaxgan.errors import UserError


@pytest.mark.parametrize("name", ["digits", "ring"])
def test_two_parts_of_the_training_set(name):
    whole = datasets.load(name)
    config = tiny_config(dataset__name=name, dataset__image_size=0, dataset__hold_out=True)
    train, held_out = (experiment.load_dataset(config, split) for split in ("train", "test"))
    assert len({dataset.fingerprint for dataset in (whole, train, held_out)}) == 3
    rows = validation_rows(len(whole))
    of_train, of_test = (take(part.examples, np.arange(len(part))) for part in (train, held_out))
    np.testing.assert_array_equal(of_test, whole.examples[rows])
    np.testing.assert_array_equal(held_out.labels, whole.labels[rows])
    np.testing.assert_array_equal(of_train, np.delete(whole.examples, rows, axis=0))
    assert train.num_modes == whole.num_modes and train.name == whole.name
    assert config.dataset.hold_out and not experiment.without_hold_out(config).dataset.hold_out
    assert config.dataset.hold_out


class Source:
    """Examples that are read row by row."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __len__(self):
        return len(self.array)

    def __getitems__(self, rows):
        return self.array[rows]


@pytest.mark.parametrize("num", [6, 11, 12, 13, 100])
def test_examples_read_row_by_row_are_the_same(num):
    in_memory = from_arrays("mine", np.arange(num, dtype=np.float32)[:, None], None, "here")
    in_memory = dataclasses.replace(in_memory, fingerprint="abc")
    read = dataclasses.replace(in_memory, examples=Source(in_memory.examples))
    for split in ("train", "test"):
        one, other = validation_split(in_memory, split), validation_split(read, split)
        assert len(one) == len(other) and one.fingerprint == other.fingerprint
        np.testing.assert_array_equal(one.examples, take(other.examples, np.arange(len(other))))


def test_a_set_with_fewer_than_six_examples_has_no_validation_part():
    with pytest.raises(UserError, match="5 examples leave none"):
        validation_split(from_arrays("mine", np.zeros((5, 2), np.float32), None, "here"), "train")


def test_records_without_a_validation_part_are_unchanged():
    section = essential(tiny_config())
    assert "hold_out" not in section["dataset"] and "max_minutes" not in section
    section = essential(tiny_config(dataset__hold_out=True, max_minutes=2.0))
    assert section["dataset"]["hold_out"] and section["max_minutes"] == 2.0
