"""Files that evaluations write to the folder of a run."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from jaxgan.drawing.grids import save
from jaxgan.jobs import evaluate


def test_concurrent_evaluations_of_a_run_lose_no_entry(tmp_path):
    def add(step):
        entry = {"step": step, "weights": "ema", "protocol": {}, "numbers": {"a": 1.0}}
        evaluate._add(tmp_path / "evaluation.json", entry)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(add, [*range(60), 5, 7]))
    entries = json.loads((tmp_path / "evaluation.json").read_text())
    assert sorted(entry["step"] for entry in entries) == list(range(60))
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == ["evaluation.json"]


def test_concurrent_processes_may_draw_one_picture(tmp_path):
    picture = Image.fromarray(np.zeros((64, 64), np.uint8))
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: save(picture, tmp_path / "plots" / "curves.png"), range(100)))
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["curves.png"]
