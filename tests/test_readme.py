"""What the README says exists, exists."""

import re
from pathlib import Path

import pytest

from configs import default
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config import fields
from jaxgan.extractors import EXTRACTORS
from jaxgan.latents import LATENTS
from jaxgan.metrics import FAMILIES as STATISTICS
from jaxgan.metrics.protocol import PROTOCOLS
from jaxgan.regularizers import FAMILIES
from jaxgan.run import record

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FIELDS = sorted(set(re.findall(r"--config\.([a-z_.]+)=", README)))


@pytest.mark.parametrize("mark", ["run", "test"])
def test_two_commands_of_one_line(mark):
    assert len(re.findall(rf"^<!-- command: {mark} -->\n```bash\n[^\n]+\n```$", README, re.MULTILINE)) == 1


def test_every_config_is_listed_and_every_listed_config_exists():
    listed = set(re.findall(r"`(\w+\.py)`", README.split("| config |")[1].split("\n\n")[0]))
    assert listed == {path.name for path in (ROOT / "configs").glob("*.py")} - {"default.py"}


def test_every_room_is_on_the_map():
    table = README.split("## The rooms")[1].split("\n\n")[2]
    rooms = {path.name for path in (ROOT / "jaxgan").iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms -= {"__init__.py", "__pycache__"}
    listed = {name.removeprefix("jaxgan/").rstrip("/") for name in re.findall(r"`([\w/.]+)`", table)}
    assert rooms <= listed
    assert all(
        (ROOT / name).exists() or (ROOT / "jaxgan" / name).exists() for name in listed - {"config.json"}
    )


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_exists(field):
    assert field in fields.flatten(default.get_config().to_dict())


@pytest.mark.parametrize("registry", [
    *(fields.SECTIONS[section] for section in ("loss", "dataset", "generator_optimizer", "schedule")),
    *(AUGMENTATIONS, EXTRACTORS, LATENTS, *FAMILIES.values(), *STATISTICS.values()),
], ids=lambda registry: registry.kind)  # fmt: skip
def test_every_component_is_named(registry):
    for name in registry:
        assert f"`{name}`" in README or f"`{name}/" in README  # `tfds/<name>`


def test_every_protocol_is_named():
    for name in PROTOCOLS:
        assert f"`{name}`" in README


def test_every_changeable_field_is_named():
    for field in record.CHANGEABLE:
        assert f"`{field}`" in README
