import numpy as np
import pytest
from torch_files import Call, Global, Persistent, pickled, tensor, write_stream, write_zip

from jaxgan.errors import UserError
from jaxgan.extractors.torch_file import read_state_dict

ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a.bias": np.array([0.5, -1.0], np.float16),
    "a.steps": np.array(7),
    "none": np.zeros((0, 3), np.float32),
}
FLOATS = np.arange(12, dtype=np.float32)
WRITERS = pytest.mark.parametrize("write", [write_zip, write_stream])


def refused(path, match):
    with pytest.raises(UserError, match=match) as caught:
        read_state_dict(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@WRITERS
def test_both_formats(write, tmp_path):
    write(tmp_path / "x.pth", ARRAYS)
    read = read_state_dict(tmp_path / "x.pth")
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


@WRITERS
def test_views_share_a_storage_and_parameters_are_tensors(write, tmp_path):
    key = "0" if write is write_zip else "94000000"
    transposed = tensor(key, FLOATS, offset=2, shape=(2, 3), strides=(1, 3))
    parameter = Call(
        Global("torch._utils", "_rebuild_parameter"), (tensor(key, FLOATS, shape=(12,)), True, {})
    )
    write(tmp_path / "x.pth", {"": FLOATS}, {"transposed": transposed, "parameter": parameter})
    read = read_state_dict(tmp_path / "x.pth")
    np.testing.assert_array_equal(read["transposed"], [[2, 5, 8], [3, 6, 9]])
    np.testing.assert_array_equal(read["parameter"], FLOATS)


@WRITERS
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch._utils", "_import_dotted_name"),
        ("jaxgan.extractors.torch_file", "pickle"),
        ("collections", "namedtuple"),
    ],
)
def test_code_is_refused_by_its_name_and_not_run(write, module, name, tmp_path):
    path, mark = tmp_path / "x.pth", tmp_path / "was_run"
    state = {"x": Call(Global(module, name), (f"touch {mark}",))}
    write(path, {}, state)
    refused(path, rf"it asks for {module}\.{name}.*nothing was run")
    write(path, {}, {"x": tensor("0", FLOATS), "y": Global(module, name)})
    refused(path, f"{module}.{name}")
    assert not mark.exists()


def test_code_before_the_dict_is_refused_too(tmp_path):
    path, mark = tmp_path / "x.pth", tmp_path / "was_run"
    path.write_bytes(pickled(Call(Global("posix", "system"), (f"touch {mark}",))))
    refused(path, "posix.system")
    assert not mark.exists()


@WRITERS
@pytest.mark.parametrize(
    "how",
    [
        dict(shape=(13,), strides=(1,)),
        dict(shape=(3, 4), strides=(1000, 1)),
        dict(offset=5, shape=(8,), strides=(1,)),
        dict(offset=-1, shape=(2,), strides=(1,)),
        dict(offset=11, shape=(3,), strides=(-1,)),
        dict(shape=(2, 2), strides=(1,)),
    ],
)
def test_memory_outside_of_the_storage_is_not_read(write, how, tmp_path):
    key = "0" if write is write_zip else "94000000"
    write(tmp_path / "x.pth", {"": FLOATS}, {"x": tensor(key, FLOATS, **how)})
    refused(tmp_path / "x.pth", "'x' lies outside its storage|argument 2 is shorter")


@pytest.mark.parametrize(
    "state",
    [
        [1, 2],
        {"model": {"x": 1.0}},
        {7: tensor("0", FLOATS)},
        {"x": Persistent(("storage", Global("torch", "FloatStorage"), "0", "cpu", 12))},
        {"x": Persistent(("module", Global("collections", "OrderedDict"), "file", "source"))},
        {"x": tensor("0", FLOATS, ("view", 0, 4))},
        {"x": Call("not callable", ())},
        {"x": Call(Global("torch", "FloatStorage"), (4,))},
        {"x": tensor("1", FLOATS)},
    ],
)
def test_anything_but_a_dict_of_tensors_is_refused(state, tmp_path):
    write_zip(tmp_path / "x.pth", {"": FLOATS}, state)
    refused(tmp_path / "x.pth", "is no PyTorch state dict that can be read")


@WRITERS
def test_a_cut_file(write, tmp_path):
    path = tmp_path / "x.pth"
    write(path, ARRAYS)
    whole = path.read_bytes()
    for length in (0, 3, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:length])
        refused(path, "is no PyTorch state dict that can be read")


def test_other_files(tmp_path):
    refused(tmp_path / "absent.pth", "No such file")
    (tmp_path / "text.pth").write_text("<html>404</html>")
    refused(tmp_path / "text.pth", "is no PyTorch state dict")
    np.savez(tmp_path / "x.npz", x=FLOATS)
    refused(tmp_path / "x.npz", "the archive has no data.pkl")
    write_zip(tmp_path / "big.pth", ARRAYS, byteorder=b"big")
    refused(tmp_path / "big.pth", "big-endian")
    write_stream(tmp_path / "big.pth", ARRAYS, little_endian=False)
    refused(tmp_path / "big.pth", "big-endian")
