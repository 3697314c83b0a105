"""Every field of an experiment with its default. jaxgan/config/default.py explains each field.

The other configs start from it and override a few fields.
"""

from jaxgan.config.default import get_config

__all__ = ["get_config"]
