"""TensorBoard's events equal those of clu's writer, which needs TensorFlow."""

import io

import numpy as np
import pytest
from PIL import Image
from runs import values

from jaxgan.files import DamagedRecord, read_records
from jaxgan.run import events

SCALARS = {"discriminator_loss": 0.1, "diversity": 3.0}
HPARAMS = {"seed": 1, "ema_decay": 0.5, "loss.name": "hinge", "deterministic": True}
PIXELS = {
    "RGB": np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
    "L": np.arange(12, dtype=np.uint8).reshape(3, 4),
}


@pytest.fixture(params=PIXELS)
def pixels(request):
    return PIXELS[request.param]


def write(folder, pixels):
    folder.mkdir()
    writer = events.EventWriter(folder)
    writer.hparams(HPARAMS)
    writer.scalars(5, SCALARS)
    writer.image(5, "samples", Image.fromarray(pixels))
    writer.close()


def write_by_clu(folder, pixels):
    from clu.metric_writers import SummaryWriter

    writer = SummaryWriter(str(folder))
    writer.write_hparams(HPARAMS)
    writer.write_scalars(5, SCALARS)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    writer.write_images(5, {"samples": pixels[None]})
    writer.close()


def told(folder):
    """The events as read by TensorBoard: the plugin and the points of each tag, pictures as pixels."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata
    from tensorboard.util.tensor_util import make_ndarray

    read = EventAccumulator(str(folder))
    read.Reload()
    found = {}
    for tag in read.Tags()["tensors"]:
        about = read.SummaryMetadata(tag)
        points = [(event.step, make_ndarray(event.tensor_proto)) for event in read.Tensors(tag)]
        if about.plugin_data.plugin_name == "images":
            *size, png = points[0][1]
            points = [(points[0][0], [*size, *np.asarray(Image.open(io.BytesIO(png))).ravel()])]
        if about.plugin_data.plugin_name == "hparams":
            info = metadata.parse_session_start_info_plugin_data(about.plugin_data.content)
            info.start_time_secs = 0
            about.plugin_data.content = info.SerializeToString(deterministic=True)
        points = [(step, np.asarray(value).tolist()) for step, value in points]
        found[tag] = (about.SerializeToString(deterministic=True), str(points))
    return found


def test_the_events_are_those_of_clu(tmp_path, pixels):
    write(tmp_path / "ours", pixels)
    write_by_clu(tmp_path / "clu", pixels)
    found = told(tmp_path / "ours")
    assert found == told(tmp_path / "clu")
    assert found.keys() == {*SCALARS, "samples", "_hparams_/session_start_info"}


def test_the_reader_reads_files_of_tensorflow(tmp_path):
    write_by_clu(tmp_path / "clu", PIXELS["L"])
    (path,) = (tmp_path / "clu").iterdir()
    import tensorflow as tf

    assert list(read_records(path)) == list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


@pytest.mark.parametrize("cut", [1, 4, 5, 20])
def test_events_are_cut_at_a_step_and_at_an_incomplete_record(tmp_path, cut):
    writer = events.EventWriter(tmp_path)
    for step in (10, 20, 30):
        writer.scalars(step, {"loss": step / 10})
    writer.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DamagedRecord, match="cut short"):
        list(read_records(path))
    events.cut(tmp_path, 30)
    assert [step for step, _ in values(tmp_path)] == [10, 20]
    events.cut(tmp_path, 15)
    assert [step for step, _ in values(tmp_path)] == [10]
    events.cut(tmp_path, 0)
    assert not events.has_events(tmp_path)


def test_a_changed_byte_is_detected(tmp_path):
    writer = events.EventWriter(tmp_path)
    writer.scalars(10, {"loss": 1.0})
    writer.close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    first = 16 + int.from_bytes(whole[:8], "little")
    for place in (
        8,
        first - 5,
        first - 1,
        first + 8,
        len(whole) - 5,
    ):  # not in a length, which fails in another way
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedRecord, match="checksum"):
            list(read_records(path))
    for place in (0, first + 6):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with pytest.raises(DamagedRecord):
            list(read_records(path))


def test_records_of_any_length_have_the_checksums_of_tensorboard(tmp_path):
    from tensorboard.summary.writer.record_writer import RecordWriter

    records = [bytes(range(n % 256)) * (1 + n // 256) for n in (0, 1, 2, 3, 4, 5, 300, 17, 255, 0)]
    with (tmp_path / "records").open("wb") as file:
        writer = RecordWriter(file)
        for record in records * 60:  # more than are verified in one block
            writer.write(record)
    assert list(read_records(tmp_path / "records")) == records * 60


def test_two_writers_of_a_folder_have_separate_files(tmp_path):
    for step in (1, 2):
        writer = events.EventWriter(tmp_path)
        writer.scalars(step, {"loss": 1.0})
        writer.close()
    assert sorted(step for step, _ in values(tmp_path)) == [1, 2]
