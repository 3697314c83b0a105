"""The reference packages, of `pip install -e '.[test,parity]'`. Tests that import this need them."""

import warnings

import pytest

torch = pytest.importorskip("torch")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # own warnings are errors; the packages may use deprecated functions
    try:
        pytest.importorskip("torchvision")
    except RuntimeError:
        # Published builds are for CUDA. Beside a build of PyTorch for the CPU its operators, of which nothing
        # here is in need, do not load, and it stumbles over its own remarks on two of them.
        from torch import library

        for operator in ("nms", "qnms"):
            library.define(f"torchvision::{operator}", "(Tensor boxes, Tensor scores, float t) -> Tensor")
    for name in ("torch_fidelity", "prdc", "pytorch_msssim"):
        pytest.importorskip(name)
