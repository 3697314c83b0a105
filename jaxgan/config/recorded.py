"""The config of a run as a config file: what `--workdir=RUN` without `--config` stands for.

python launch.py --config=jaxgan/config/recorded.py:RUN/config.json
"""

import json
from pathlib import Path

from ml_collections import ConfigDict

from jaxgan.config import default
from jaxgan.config.fields import flatten, import_modules
from jaxgan.errors import UserError


def get_config(path: str) -> ConfigDict:
    """All fields of the run whose `config.json` this is, those of components that it does not use included.

    Raises:
      UserError: the file cannot be read, or another version of jaxgan made it.
    """
    try:
        recorded = json.loads(Path(path).read_text(encoding="utf-8"))["config"]
        import_modules(ConfigDict({"modules": recorded["modules"]}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or give --config") from error
    config = default.get_config()
    known = flatten(config.to_dict())
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in flatten(recorded).items()}
    if strange := sorted(fields.keys() - known.keys()):
        raise UserError(f"{path} was made by another version of jaxgan: it has the field {strange[0]}")
    config.update_from_flattened_dict(fields)
    return config
