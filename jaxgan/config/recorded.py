"""The config of a run as a config file: used for `--workdir=RUN` without `--config`.

python launch.py --config=jaxgan/config/recorded.py:RUN/config.json
"""

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxgan.config import default
from jaxgan.config.fields import component_defaults, essential, flatten, import_modules
from jaxgan.errors import UserError


def get_config(path: str) -> ConfigDict:
    """All fields of the run with this `config.json`, including those of components that it does not use.

    Raises:
      UserError: the file cannot be read, or another version of jaxgan made it.
    """
    try:
        recorded = json.loads(Path(path).read_text(encoding="utf-8"))["config"]
        import_modules(ConfigDict({"modules": recorded["modules"]}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or give --config") from error
    if foreign := foreign_fields(recorded):
        raise UserError(f"{path} was made by another version of jaxgan ({', '.join(foreign[:3])}): use that")
    return _complete(recorded)


def foreign_fields(recorded: dict[str, Any]) -> list[str]:
    """How the fields of a recorded config differ from those of this version, in words.

    Fields of components may be missing: they came later, and have their defaults.
    """
    fields, known = flatten(recorded), flatten(default.get_config().to_dict())
    more = [f"{field} is not known" for field in sorted(fields.keys() - known.keys())]
    whole = _complete(recorded)
    missing = flatten(essential(whole)).keys() - fields.keys() - component_defaults(whole).keys()
    return more + [f"{field} is missing" for field in sorted(missing)]


def _complete(recorded: dict[str, Any]) -> ConfigDict:
    config = default.get_config()
    known = flatten(config.to_dict())
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in flatten(recorded).items()}
    config.update_from_flattened_dict({name: value for name, value in fields.items() if name in known})
    return config
