"""TensorFlow at the edges only: it reads TFDS's tfrecords and writes TensorBoard's events."""

import contextlib
import os
from types import ModuleType

# Here, not where it is imported: that may be in a thread, beside which others read the environment.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # unused here, and its notice escapes the log level


def import_tensorflow() -> ModuleType:
    """TensorFlow, quiet and kept away from the accelerators, which are JAX's; ImportError without it.

    Its import takes seconds: call this as late as possible, never when a module is imported.
    """
    import tensorflow

    with contextlib.suppress(RuntimeError):  # already in use, by someone who chose
        for kind in ("GPU", "TPU"):
            tensorflow.config.set_visible_devices([], kind)
    return tensorflow
