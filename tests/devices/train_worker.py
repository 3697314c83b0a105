"""One of several processes: `train_worker.py ADDRESS NUM ID FOLDER FILE` trains the runs of a file.

The file is a JSON list of overrides. The i-th run is in `FOLDER/i`.
"""

import json
import sys
from pathlib import Path

from absl import app
from runs import tiny_config

from jaxgan.devices import processes
from jaxgan.jobs.train import train
from jaxgan.run import console


def main() -> int:
    address, num, process, folder, file = sys.argv[1:]
    processes.connect(address, int(num), int(process))
    for i, overrides in enumerate(json.loads(Path(file).read_text())):
        status = train(tiny_config(**overrides), Path(folder) / str(i))
        if status:
            break
    return status


if __name__ == "__main__":
    sys.modules["tensorflow"] = None  # its import takes seconds and is not needed here
    app.run(lambda _: console._guarded(main), argv=sys.argv[:1])
