"""`mnist`: searched for on the machine, otherwise downloaded by TFDS."""

from pathlib import Path

import numpy as np

from jaxgan.datasets import idx, tfds, tfds_prepare
from jaxgan.datasets.dataset import DATASETS, Dataset, MissingDataset, from_arrays
from jaxgan.datasets.resize import Size, resize_array
from jaxgan.errors import UserError

SIZE = 28  # pixels
COUNTS = {"train": 60_000, "test": 10_000}
MD5 = {  # of the published files, unzipped
    "train": {"images": "6bbc9ace898e44ae57da46a324031adb", "labels": "a25bea736e30d166cdddb491f175f624"},
    "test": {"images": "2646ac647ad5339dbf082846283269ea", "labels": "27ae3e4e09519cfbb04c329615203637"},
}


@DATASETS.register("mnist")
def build(split: str, path: str, image_size: Size) -> Dataset:
    """MNIST (LeCun et al., 1998): 28x28 grey, 60,000 + 10,000.

    Searched in this order: IDX files in `path`; prepared by TFDS in `path`; prepared by TFDS in
    `$TFDS_DATA_DIR` or ~/tensorflow_datasets; download by TFDS. Damaged or incomplete files are an error and
    end the search.

    Raises:
      MissingDataset: it is in none of these places and the network does not answer.
      UserError: it is there, and corrupt, partial or another set; or `path` is no folder.
    """
    if path and not Path(path).is_dir():
        raise UserError(
            f"dataset.path = '{path}' is not a folder: name the one with MNIST's files, or make it, for TFDS "
            "to download into"
        )
    if path and idx.is_present(Path(path)):
        dataset = _from_idx(split, path, image_size)
    else:
        dataset = tfds.read(_tfds_builder(path), "mnist", split, image_size)
    if len(dataset) != COUNTS[split]:
        raise UserError(
            f"{dataset.origin}: {len(dataset):,} images where MNIST's '{split}' split has {COUNTS[split]:,}; "
            "fetch it again, or use dataset.name = 'idx' for another set in these files"
        )
    return dataset


def _from_idx(split, path, image_size):
    images, labels = idx.read(Path(path), split)
    for kind, array in (("images", images[..., 0]), ("labels", labels.astype(np.uint8))):
        if len(array) == COUNTS[split] and idx.md5(array) != MD5[split][kind]:
            raise UserError(
                f"the {kind} of IDX files in {path} are not MNIST's '{split}' split (another md5): fetch "
                "them again, or use dataset.name = 'idx' for Fashion-MNIST and its like"
            )
    names = tuple(str(digit) for digit in range(10))
    return from_arrays(
        "mnist", resize_array(images, image_size), labels, f"IDX files in {path}", class_names=names
    )


def _tfds_builder(path):
    places = [path, ""] if path else [""]
    for data_dir in places:
        if (builder := tfds_prepare.find("mnist", data_dir)) is not None:
            return builder
    try:
        return tfds_prepare.prepare("mnist", path)
    except MissingDataset as missing:
        default = tfds_prepare.default_data_dir()
        looked = [
            f"IDX files or a TFDS copy in dataset.path = '{path}'" if path else "dataset.path (not set)"
        ]
        looked.append(f"a TFDS copy in {default} (TFDS_DATA_DIR)")
        raise MissingDataset(
            f"MNIST not found: looked for {'; '.join(looked)}; and {missing}. Remedies: set dataset.path to "
            "the folder of the four IDX files (train-images-idx3-ubyte.gz, ...) or to a TFDS data_dir, set "
            "TFDS_DATA_DIR, connect to the network, or set dataset.fallback = 'digits'",
            SIZE,
        ) from missing
