"""Finding a TensorFlow Datasets (TFDS) set on the machine, or downloading and preparing it there.

Importing TFDS and finding a prepared set do not import TensorFlow; preparing one does.
"""

import contextlib
import difflib
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import logging

from jaxgan.datasets import network
from jaxgan.datasets.dataset import MissingDataset
from jaxgan.datasets.tensorflow_import import import_tensorflow
from jaxgan.errors import UserError

_LONGEST = 400  # characters to keep of other libraries' errors
# Where TFDS's community sets, 'huggingface:...' and the like, are looked up.
_COMMUNITY_URLS = ("https://huggingface.co", "https://storage.googleapis.com")


def find(name: str, data_dir: str = "") -> Any | None:
    """The TFDS builder of a set that is prepared under `data_dir`, or None.

    Args:
      name: 'mnist', 'cifar10:3.0.2', 'cifar10_corrupted/brightness_1', ...
      data_dir: as for `tfds.load`; '' is TFDS's own rule, `$TFDS_DATA_DIR` or ~/tensorflow_datasets.

    Raises:
      UserError: no such set, or one that was prepared in part.
    """
    builder = make_builder(name, data_dir)
    folder = Path(builder.data_path)
    if not folder.is_dir() and ":" not in name:
        # Use another version if it is prepared: this needs no network.
        with contextlib.suppress(Exception):
            builder = make_builder(f"{name}:*.*.*", data_dir)
            folder = Path(builder.data_path)
    if not folder.is_dir():
        return None
    if not (folder / "dataset_info.json").is_file():
        raise UserError(
            f"{folder} was prepared only in part (no dataset_info.json); "
            "remove that folder, and the set is prepared anew, or copy it there as a whole"
        )
    return builder


def prepare(name: str, data_dir: str = "") -> Any:
    """Download a set and prepare it under `data_dir`, as `tfds.load` does; returns its builder.

    Raises:
      MissingDataset: the network does not answer within `network.DEADLINE` seconds.
      UserError: the download is damaged or must be done by hand, or the disk is full.
    """
    tfds = import_tfds()
    builder = make_builder(name, data_dir)
    # Sets that must be downloaded by hand also list addresses, but need no network afterwards.
    urls = {} if builder.MANUAL_DOWNLOAD_INSTRUCTIONS else builder.url_infos or {}
    if reason := network.unreachable(urls):
        raise MissingDataset(f"it cannot be downloaded: {reason}")
    require_tensorflow(f"preparing '{name}' for the first time")
    logging.info("preparing TFDS '%s' in %s", name, builder.data_path)
    from tensorflow_datasets.core.download import download_manager, util

    try:
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))
    except download_manager.NonMatchingChecksumError as error:
        raise UserError(
            f"the download of '{name}' is damaged or was replaced on its way ({one_line(error)}); "
            f"remove {Path(data_dir or default_data_dir()) / 'downloads'} and try again"
        ) from error
    except (util.DownloadError, ConnectionError, TimeoutError) as error:
        raise MissingDataset(f"its download failed: {one_line(error)}") from error
    except Exception as error:  # manual downloads (AssertionError), a full disk (OSError), the set's own code
        raise UserError(f"TFDS cannot prepare '{name}' in {builder.data_path}: {one_line(error)}") from error
    return builder


def make_builder(name: str, data_dir: str = "") -> Any:
    """The builder of a TFDS set, whether or not it is prepared; UserError where there is no such set."""
    tfds = import_tfds()
    if ":" in name.partition("/")[0] and not name.partition(":")[2][:1].isdigit() and "*" not in name:
        if reason := network.unreachable(_COMMUNITY_URLS):
            raise MissingDataset(f"TFDS community set '{name}' needs the network: {reason}")
    try:
        return tfds.builder(name, data_dir=data_dir or None)
    except tfds.core.DatasetNotFoundError as error:
        close = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else "see tfds.list_builders()"
        raise UserError(f"TFDS knows no data set '{name}'; {hint}") from error
    except (
        Exception
    ) as error:  # an unknown configuration or version, packages the set needs, ambiguous folders
        raise UserError(f"TFDS cannot load '{name}': {one_line(error)}") from error


def default_data_dir() -> str:
    """Where TFDS looks without a `data_dir`."""
    import_tfds()
    from tensorflow_datasets.core import constants

    return str(Path(constants.DATA_DIR).expanduser())


def import_tfds() -> ModuleType:
    """TFDS, without TensorFlow."""
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise UserError(f"TFDS does not import ({error}); pip install tensorflow-datasets") from error
    return tensorflow_datasets


def require_tensorflow(purpose: str) -> ModuleType:
    """TensorFlow, or a UserError that says what needs it and how to do without."""
    try:
        return import_tensorflow()
    except ImportError as error:
        raise UserError(
            f"{purpose} needs TensorFlow, which does not import ({one_line(error)}); "
            "pip install tensorflow-cpu, or use a set prepared as array_record, IDX files or a .npy file"
        ) from error


def one_line(error: BaseException) -> str:
    """The message of an error in one line, shortened."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) < _LONGEST else f"{words[:_LONGEST]} ..."
