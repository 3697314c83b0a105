"""TensorBoard events: scalars, pictures and hyperparameters, with TensorBoard's record writer.

TensorBoard's `EventFileWriter` imports TensorFlow, which takes seconds, and reports a full disk as a
traceback from a thread. The records are the same.
"""

import io
import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

from PIL import Image

from jaxgan.files import DamagedRecord, read_records, whole

_PATTERN = "events.out.tfevents.*"
_numbers = itertools.count()  # of the files of this process


def has_events(workdir: Path) -> bool:
    """Whether there are event files."""
    return any(workdir.glob(_PATTERN))


def cut(workdir: Path, step: int) -> None:
    """Removes all events after `step`, and records that a killed run has not completed."""
    for path in sorted(workdir.glob(_PATTERN)):
        _cut_file(path, step)


class EventWriter:
    """Writes events to a new file in a folder; they can be read at once.

    Raises:
      ImportError: TensorBoard does not import.
      OSError: the file cannot be written.
    """

    def __init__(self, workdir: Path):
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        parts = f"{time.time():010.0f}", socket.gethostname(), str(os.getpid()), str(next(_numbers))
        self._writer = RecordWriter((workdir / f"events.out.tfevents.{'.'.join(parts)}.v2").open("xb"))
        self._write(file_version="brain.Event:2")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """A point of each curve."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        for name, value in values.items():
            self._write(step=step, summary=scalar_pb(name, value))

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """A picture, as PNG."""
        from tensorboard.plugins.image.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        png = io.BytesIO()
        picture.save(png, "PNG")
        size = [str(pixels).encode() for pixels in picture.size]
        tensor, summary = make_tensor_proto([*size, png.getvalue()]), self._summary()
        summary.value.add(tag=name, tensor=tensor, metadata=create_summary_metadata(None, None))
        self._write(step=step, summary=summary)

    def hparams(self, values: dict[str, bool | int | float | str]) -> None:
        """The hyperparameters of the run."""
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        self._write(summary=hparams_pb(values))

    def flush(self) -> None:
        """Flushes everything to the operating system."""
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes."""
        self._writer.close()

    def _write(self, **content: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **content).SerializeToString())
        self._writer.flush()


def _cut_file(path: Path, step: int) -> None:
    if not step:
        path.unlink()
        return
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    kept, dropped = [], False
    try:
        for record in read_records(path):
            if Event.FromString(record).step <= step:
                kept.append(record)
            else:
                dropped = True
    except DamagedRecord:
        dropped = True
    if dropped:
        with whole(path) as temporary, temporary.open("wb") as file:
            writer = RecordWriter(file)
            for record in kept:
                writer.write(record)
