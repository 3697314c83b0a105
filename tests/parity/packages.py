"""The reference packages, of `pip install -e '.[test,parity]'`. Tests that import this need them."""

import warnings

import pytest

torch = pytest.importorskip("torch")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # own warnings are errors; the packages may use deprecated functions
    try:
        pytest.importorskip("torchvision")
    except RuntimeError:
        # Published builds of torchvision are for CUDA. With a CPU build of PyTorch its operators do not load,
        # and its import fails at two of them. Nothing here needs these operators.
        from torch import library

        for operator in ("nms", "qnms"):
            library.define(f"torchvision::{operator}", "(Tensor boxes, Tensor scores, float t) -> Tensor")
    for name in ("torch_fidelity", "prdc", "pytorch_msssim"):
        pytest.importorskip(name)
