"""Array files: type × order × rank × range × labels × names in the file × format × way of reading."""

import numpy as np
from cells import parametrize, refusal, require_none

from jaxgan import datasets

COUNT, SIDE = 18, 6
DTYPES = ("uint8", "float16", "float32", "float64", ">f4", "longdouble", "bool", "int8", "int64", "uint16",
          "complex64", "object", "structured", "str", "datetime64[s]")  # fmt: skip
FLOATS = ("float16", "float32", "float64", ">f4", "longdouble")
# values and the declared range
RANGES = {
    "0 to 1": (0.0, 1.0, (0.0, 1.0)),
    "-1 to 1": (-1.0, 1.0, (-1.0, 1.0)),
    "0 to 255": (0.0, 255.0, (0.0, 255.0)),
    "whole numbers": (0.0, 255.0, (0, 255)),
    "negative": (-3.0, -1.0, (-3.0, -1.0)),
    "not stated": (0.0, 1.0, (None, None)),
    "half stated": (0.0, 1.0, (0.0, None)),
    "turned round": (0.0, 1.0, (1.0, 0.0)),
    "outside": (0.0, 1.5, (0.0, 1.0)),
    "stated as infinite": (0.0, 1.0, (0.0, float("inf"))),
    "stated as NaN": (0.0, 1.0, (float("nan"), 1.0)),
    "NaN": (0.0, 1.0, (0.0, 1.0)),
    "inf": (0.0, 1.0, (0.0, 1.0)),
    "large": (0.0, 1e300, (0.0, 1e300)),
    "NaN, not stated": (0.0, 1.0, (None, None)),
    "inf, not stated": (0.0, 1.0, (None, None)),
    "large, not stated": (0.0, 1e300, (None, None)),
    "constant": (0.5, 0.5, (0.0, 1.0)),
}
SHAPES = {
    "0": (),
    "1": (COUNT,),
    "2": (COUNT, SIDE),
    "3": (COUNT, SIDE, SIDE),
    "4": (COUNT, SIDE, SIDE, 3),
    "4, grey": (COUNT, SIDE, SIDE, 1),
    "4, channels first": (COUNT, 3, SIDE, SIDE),
    "4, oblong": (COUNT, SIDE, SIDE + 2, 3),
    "5": (COUNT, 2, SIDE, SIDE, 3),
    "empty": (0, SIDE, SIDE, 3),
    "no pixels": (COUNT, 0, 0, 3),
    "one example": (1, SIDE, SIDE, 3),
}
LABELS = ("none", "int64", "uint8", "big-endian", "short", "float", "whole floats", "negative", "huge",
          "strings", "one-hot", "column", "bool", "object")  # fmt: skip
NAMES = (
    "images",
    "x_train",
    "x_train and x_test",
    "arr_0",
    "own",
    "no ASCII",
    "with another",
    "x_test alone",
)
AXES = {
    "dtype": DTYPES,
    "order": ("C", "F", "reversed", "every second"),
    "shape": tuple(SHAPES),
    "values": tuple(RANGES),
    "labels": LABELS,
    "names": NAMES,
    "file": ("npy", "npz", "compressed npz", "npz called npy", "npy called npz", "npz with a dot"),
    "image_size": (0, 4, 6),
    "split": ("train", "test"),
    "in_memory_gb": (1.0, 0.0),
}
GOOD = AXES | {  # valid values; pairs of these can be read
    "dtype": ("uint8", *FLOATS),
    "shape": ("2", "3", "4", "4, grey"),
    "values": ("0 to 1", "-1 to 1", "0 to 255", "whole numbers", "negative", "not stated", "constant"),
    "labels": ("none", "int64", "uint8", "big-endian"),
    "names": ("images", "x_train", "x_train and x_test", "arr_0", "own", "no ASCII"),
}
ALLOWED = {
    ("file", "labels"): lambda cell: "npz" in cell["file"].split(" called ")[0] or cell["labels"] == "none",
    ("file", "names"): lambda cell: "npz" in cell["file"].split(" called ")[0] or cell["names"] == "images",
}


def make_values(cell):
    """The examples in float64, and in the type and order of the cell."""
    shape, (low, high, _) = SHAPES[cell["shape"]], RANGES[cell["values"]]
    random, dtype = np.random.default_rng(0), cell["dtype"]
    if dtype not in FLOATS:
        whole = random.integers(0, 2 if dtype == "bool" else 120, shape)
        if dtype == "structured":
            array = np.zeros(shape, [("red", "u1"), ("green", "u1")])
        elif dtype == "object":
            array = np.asarray(whole, object)
        else:
            array = np.asarray(whole).astype(dtype)
        exact = whole
    else:
        with np.errstate(over="ignore"):
            array = np.asarray(low + (high - low) * random.random(shape)).astype(dtype)
        if cell["values"].startswith(("NaN", "inf")) and array.size:
            array.reshape(-1)[:] = np.nan if cell["values"].startswith("NaN") else np.inf
        exact = array
    if cell["order"] == "F":
        array = np.asfortranarray(array)
    elif cell["order"] == "reversed" and array.ndim:
        array = np.flip(np.ascontiguousarray(np.flip(array)))
    elif cell["order"] == "every second" and array.ndim:
        array = np.repeat(array, 2, axis=-1)[..., ::2]
    return np.asarray(exact), array


def make_labels(kind, count):
    labels = np.arange(count) % 3
    return {
        "none": None,
        "int64": labels,
        "uint8": labels.astype(np.uint8),
        "big-endian": labels.astype(">i4"),
        "short": labels[1:],
        "float": labels + 0.5,
        "whole floats": labels.astype(float),
        "negative": labels - 1,
        "huge": labels + 2**40,
        "strings": labels.astype(str),
        "one-hot": np.eye(3, dtype=np.int64)[labels],
        "column": labels[:, None],
        "bool": labels > 1,
        "object": labels.astype(object),
    }[kind]


def write(folder, cell):
    """Writes the file. Returns its path, and the expected examples and labels of the split."""
    exact, array = make_values(cell)
    labels = make_labels(cell["labels"], len(array) if array.ndim else 0)
    rows = np.arange(len(array) if array.ndim else 0)
    train, test = rows[rows % 6 != 5], rows[rows % 6 == 5]
    content, chosen = {"images": array}, train if cell["split"] == "train" else test
    names = cell["names"]
    if names == "x_train and x_test":
        content = (
            {"x_train": array, "x_test": np.flip(array)}
            if array.ndim
            else {"x_train": array, "x_test": array}
        )
        exact = exact if cell["split"] == "train" or not array.ndim else np.flip(exact)
        chosen = rows
    elif names != "images":
        others = {"own": "faces", "no ASCII": "größe", "with another": "images", "x_test alone": "x_test"}
        content = {others.get(names, names): array}
    if labels is not None:
        if names == "x_train and x_test":
            content |= {"y_train": labels, "y_test": labels}
        else:
            content |= {"y_train" if names == "x_train" else "labels": labels}
    if names == "with another":
        content |= {"paths": np.zeros(3)}
    kind = cell["file"]
    if kind.startswith("npy"):
        path = folder / "faces.npy"
        np.save(path, array, allow_pickle=True)
    else:
        path = folder / ("faces.v2.npz" if kind == "npz with a dot" else "faces.npz")
        (np.savez_compressed if kind == "compressed npz" else np.savez)(path, allow_pickle=True, **content)
    if " called " in kind:
        path = path.rename(path.with_suffix("." + kind.split(" called ")[1]))
    return path, exact, labels, chosen


def expected(cell, exact, rows):
    """The examples of the split; None where the file has to be refused."""
    low, high, stated = RANGES[cell["values"]]
    floats = cell["dtype"] in FLOATS
    if cell["labels"] not in ("none", "int64", "uint8", "big-endian"):
        return None
    if cell["names"] in ("with another", "x_test alone") or not exact.size or not len(rows):
        return None
    if exact.ndim == 2:
        finite = np.isfinite(exact).all() and np.abs(exact.astype(np.longdouble)).max() < 3e38
        if not floats or stated != (None, None) or cell["image_size"] or not finite:
            return None
        return exact[rows].astype(np.float32)
    if exact.ndim not in (3, 4) or cell["shape"] == "4, channels first":
        return None
    if cell["dtype"] == "uint8":
        if stated != (None, None):
            return None
        images = exact
    elif floats:
        known = all(value is not None and np.isfinite(value) for value in stated) and stated[0] < stated[1]
        if not known or not np.isfinite(exact).all() or exact.min() < stated[0] or exact.max() > stated[1]:
            return None
        images = np.round((exact.astype(np.float64) - stated[0]) / (stated[1] - stated[0]) * 255)
    else:
        return None
    images = images[rows].astype(np.uint8)
    return images[..., None] if images.ndim == 3 else images


def fault_of(folder, cell):
    folder.mkdir()
    path, exact, labels, rows = write(folder, cell)
    wanted = expected(cell, exact, rows)
    low, high = RANGES[cell["values"]][2]
    fields = {
        "low": low,
        "high": high,
        "in_memory_gb": cell["in_memory_gb"],
        "image_size": cell["image_size"],
    }
    found, message, fault = refusal(
        lambda: datasets.load("array", cell["split"], path=str(path), **fields),
        path.name,
        "image_size",
        root=folder,
    )
    if fault or message:
        return fault or (f"refused: {message}" if wanted is not None else "")
    if wanted is None:
        return f"taken: {found.examples.dtype} {found.examples.shape}"
    examples = np.asarray(found.examples)
    if cell["image_size"] == 4:
        if examples.shape != (len(rows), 4, 4, wanted.shape[-1]):
            return f"shape {examples.shape}"
        # the mean of each square image changes little
        if wanted.shape[1] == wanted.shape[2]:
            means = np.abs(examples.mean((1, 2)) - wanted.mean((1, 2)))
            return f"means differ by {means.max()}" if means.max() > 40 else ""
        return ""
    if cell["shape"] == "4, oblong" and cell["image_size"]:
        wanted = wanted[:, :, 1:-1]
    if examples.dtype != wanted.dtype or examples.shape != wanted.shape:
        return f"{examples.dtype} {examples.shape}, not {wanted.dtype} {wanted.shape}"
    near = np.abs(examples.astype(float) - wanted).max() <= (1 if "float" in cell["dtype"] else 0)
    exactly = examples.ndim == 2 or cell["dtype"] == "uint8"
    if not (np.array_equal(examples, wanted) if exactly else near):
        return "other values"
    if (labels is None) != (found.labels is None):
        return f"labels {found.labels}"
    if labels is not None and not np.array_equal(found.labels, np.asarray(labels)[rows]):
        return "other labels"
    return ""


def is_read(cell):
    """Whether shape, type and declared range are consistent."""
    stated = not cell["values"].endswith("not stated")
    if cell["shape"] == "2":
        return not stated and not cell["image_size"] and cell["dtype"] != "uint8"
    return stated == (cell["dtype"] != "uint8")


READ = ALLOWED | {("dtype", "shape", "values", "image_size"): is_read}
# each invalid value, among valid values
SPOILT = [
    (GOOD | {axis: tuple(value for value in AXES[axis] if value not in GOOD[axis])}, READ)
    for axis in AXES
    if AXES[axis] != GOOD[axis]
]


@parametrize((AXES, ALLOWED), (GOOD, READ), *SPOILT)
def test_arrays(tmp_path, monkeypatch, made):
    monkeypatch.setenv("JAXGAN_CACHE_DIR", str(tmp_path / "cache"))
    faults = [(cell, fault_of(tmp_path / str(i), cell)) for i, cell in enumerate(made)]
    require_none([(cell, fault) for cell, fault in faults if fault], len(made))
