"""Refuses an object that is no config, or not one of this version, before its fields are read."""

from typing import Any

from ml_collections import ConfigDict

from jaxgan.config.default import get_config
from jaxgan.config.fields import flatten
from jaxgan.config.recorded import complete
from jaxgan.declarations.arguments import shown
from jaxgan.errors import WrongArgument


def require_config(config: Any) -> None:
    """WrongArgument if it is no config, or lacks the fields that are read first."""
    if not isinstance(config, ConfigDict) or not {"modules", "deterministic"} <= set(config):
        raise WrongArgument(f"config={shown(config)}: give a ConfigDict, begun with jaxgan.default_config()")


def require_known(config: ConfigDict) -> None:
    """WrongArgument if the config has other fields than `default.py`, or values of other types."""
    tree = config.to_dict()
    try:
        _, foreign = complete(tree)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split()).replace(" (reference)", "")[:200]
        raise WrongArgument(f"config: {reason}; give a value of its type") from error
    if foreign:
        raise WrongArgument(f"config: {', '.join(foreign[:3])}; begin with jaxgan.default_config()")
    none = [field for field, value in flatten(tree).items() if value is None]
    default = flatten(get_config().to_dict()) if none else {}
    if empty := [field for field in none if default[field] is not None]:
        raise WrongArgument(f"config: {empty[0]} is None; give a value, as jaxgan.default_config() has one")
