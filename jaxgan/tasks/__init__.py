"""Tasks: what a generator is given and what it should make of it, both from the images of a data set.

`TASKS["super_resolution"](factor=2).real(images, keys) -> (target, {"image": given})`. See `task.py`.

To add one: write a frozen dataclass in its family's file, register it, and import the file below. Its fields
become config fields, and the contract tests cover it.
"""

from jaxgan.tasks import colouring, denoising, inpainting, pairs, super_resolution  # noqa: F401 (register)
from jaxgan.tasks.task import TASKS, Task

__all__ = ["TASKS", "Task"]
