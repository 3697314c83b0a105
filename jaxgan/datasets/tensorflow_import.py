"""The late import of TensorFlow, which is needed only to prepare and decode some sets of TFDS."""

import contextlib
import os
from types import ModuleType

# Here, not where it is imported: that may be in a thread, beside which others read the environment.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # unused here, and its notice escapes the log level


def import_tensorflow() -> ModuleType:
    """TensorFlow without log messages and accelerators, which JAX uses; ImportError if it is missing.

    The import takes seconds: call this as late as possible, never when a module is imported.
    """
    import tensorflow

    with contextlib.suppress(RuntimeError):  # already in use, by someone who chose
        for kind in ("GPU", "TPU"):
            tensorflow.config.set_visible_devices([], kind)
    return tensorflow
