"""The config of a run as a config file: used for `--workdir=RUN` without `--config`.

python launch.py --config=jaxgan/config/recorded.py:RUN/config.json
"""

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxgan.config import default
from jaxgan.config.essential import GONE, bring_up_to_date, component_defaults, essential
from jaxgan.config.fields import flatten, import_modules
from jaxgan.errors import UserError


def get_config(path: str) -> ConfigDict:
    """All fields of the run with this `config.json`, including those of components that it does not use.

    Raises:
      UserError: the file cannot be read, or another version of jaxgan made it.
    """
    try:
        recorded = json.loads(Path(path).read_text(encoding="utf-8"))["config"]
        import_modules(ConfigDict({"modules": recorded["modules"]}))
        bring_up_to_date(recorded)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error}): restore it, or give --config") from error
    config, foreign = complete(recorded)
    if foreign:
        raise UserError(f"{path} was made by another version of jaxgan ({', '.join(foreign[:3])}): use that")
    return config


def complete(recorded: dict[str, Any]) -> tuple[ConfigDict, list[str]]:
    """All fields of a config of which some are recorded, and how it differs from this version's, in words.

    Fields of components may be missing: they came later, and have their defaults.

    Args:
      recorded: the config as nested dicts.

    Raises:
      TypeError, ValueError: a recorded value has another type than the field.
    """
    whole = default.get_config()
    known = flatten(whole.to_dict())
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in flatten(recorded).items()}
    unknown = {
        name for name in fields.keys() - known.keys() if name not in GONE or fields[name] != GONE[name]
    }
    more = [f"{field} is not known" for field in sorted(unknown)]
    others = {
        name: value
        for name, value in fields.items()
        if name in known and (type(value) is not type(known[name]) or value != known[name])
    }
    whole.update_from_flattened_dict(others)
    missing = flatten(essential(whole)).keys() - fields.keys() - component_defaults(whole).keys()
    return whole, more + [f"{field} is missing" for field in sorted(missing)]
