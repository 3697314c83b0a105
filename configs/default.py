"""Every field of an experiment with its default: jaxgan/config/default.py, which explains each of them.

The other configs begin with it and override a few fields.
"""

from jaxgan.config.default import get_config

__all__ = ["get_config"]
