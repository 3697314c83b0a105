"""The command line: flags, then one call.

python launch.py --config=configs/dcgan_mnist.py [--workdir=DIR] [--mode=train|sample] [--config.FIELD=VALUE ...]

Exit status: 0 done; 2 the input was wrong (one line says what); 3 training diverged; 128 + signal number
after SIGINT or SIGTERM, with a checkpoint written first.
"""

import os
import re
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from jaxgan.console import set_up_console, set_up_cache
from jaxgan.errors import UserError

CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment, configs/*.py.", lock_config=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run; default runs/<config>[-<overrides>].")
MODE = flags.DEFINE_enum("mode", "train", ["train", "sample"], "What to do.")
