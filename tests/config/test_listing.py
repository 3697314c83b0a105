"""The list of all fields, its page FIELDS.md, and messages about unknown fields."""

import subprocess
import sys

import pytest
from runs import ROOT

from configs import default, gan_ring
from jaxgan.config import listing, schedules
from jaxgan.config.fields import flatten
from jaxgan.declarations import sentences
from jaxgan.errors import UserError
from jaxgan.models import GENERATORS

CONFIG = default.get_config()
ENTRIES = list(listing.entries())


def paths_of(entry):
    if listing.NUMBER in entry.path:
        return [entry.path.replace(listing.NUMBER, number) for number in schedules.numbers()]
    return [entry.path.replace(listing.EVERY, name) for name in CONFIG.regularizers] or [entry.path]


def test_every_field_is_listed_with_its_default_and_a_sentence():
    values = flatten(CONFIG.to_dict())
    listed = {path: entry for entry in ENTRIES for path in paths_of(entry)}
    assert listed.keys() == values.keys()
    for path, entry in listed.items():
        assert values[path] == entry.default, path
        assert len(entry.sentence) > 3 and "  " not in entry.sentence, f"{path} has no meaning"


def test_the_page_matches_the_declarations():
    remedy = "python launch.py --mode=fields --out=configs/FIELDS.md"
    assert (ROOT / "configs" / "FIELDS.md").read_text(encoding="utf-8") == listing.markdown(), remedy


def test_components_are_listed_by_name():
    """The order of imports does not matter."""
    for section in ("generator", "discriminator", "loss", "regularizers"):
        paths = [entry.path.split(".") for entry in ENTRIES if entry.path.startswith(f"{section}.")]
        names = list(dict.fromkeys(path[1] for path in paths if len(path) == 3 and path[1] != listing.EVERY))
        assert names == sorted(names)


def test_ranges_and_types_are_listed():
    told = {entry.path: (entry.kind, entry.allowed) for entry in ENTRIES}
    assert told["ema_decay"] == ("float", "in [0, 1)")
    assert told["update_order"] == ("str", "one of alternating, simultaneous")
    assert told["generator.dcgan.channels"] == ("ints", "at least 1")
    assert told["generator.name"] == ("name", f"one of {', '.join(sorted(GENERATORS))}")
    assert told["modules"] == ("strs", "")


def test_a_word_finds_fields_by_name_meaning_and_synonym():
    assert listing.text(None, ["latent_dim"]).splitlines() == [
        "The game (Goodfellow et al. 2014)",
        "  latent_dim=100  (int, at least 1)",
        "      dimension of the latent z",
    ]
    assert "packing=1" in listing.text(None, ["PacGAN"])
    assert "  discriminator_steps=1" in listing.text(None, ["n_critic"])
    assert "generator_optimizer.adam.learning_rate=" in listing.text(None, ["lr"])
    with pytest.raises(UserError, match="no field has 'zzz' in its name or meaning. All: python launch.py"):
        listing.text(None, ["zzz"])


def test_the_values_of_a_config_are_shown_beside_the_defaults():
    config = gan_ring.get_config()
    assert f"  latent_dim={config.latent_dim}, default 100  (" in listing.text(config, ["latent_dim"])
    config.regularizers.r1.weight = 5.0
    assert "      regularizers.r1.weight=5\n" in listing.text(config, ["regularizers", "weight"])


ADAMS = ["generator_optimizer.adam.learning_rate", "discriminator_optimizer.adam.learning_rate"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("learning_rate", ADAMS),
        ("lr", ADAMS),
        ("optimizer.lr", ADAMS),
        ("generator.channels", ["generator.dcgan.channels"]),
        ("n_critic", ["discriminator_steps"]),
        ("z_dim", ["latent_dim"]),
        ("ema", ["ema_decay"]),
        ("num_step", ["num_steps"]),
        ("batchsize", ["batch_size"]),
        ("los.name", ["loss.name"]),
        ("discriminator.dcgan.chanels", ["discriminator.dcgan.channels"]),
        ("regularizers.gp.weight", ["regularizers.wgan_gp.weight"]),
        ("dropout", ["discriminator.dcgan.dropout"]),
        ("xyzzy", []),
    ],
)
def test_the_nearest_fields(name, fields):
    assert listing.nearest(name)[: len(fields) or 1] == fields


def test_a_number_without_a_schedule_is_named():
    said = listing.hint("schedules.discriminator_steps.form")
    assert said.startswith(" discriminator_steps is fixed for a run. Which numbers can change:")
    assert "The nearest: " in listing.hint("schedules.ema_deca.form")


def test_fields_of_selected_components_come_first():
    config = gan_ring.get_config()
    config.generator_optimizer.name = "rmsprop"
    assert listing.nearest("generator_optimizer.lr", config)[0] == "generator_optimizer.rmsprop.learning_rate"


def test_all_synonyms_match_a_field():
    paths = [f".{path}" for path in flatten(CONFIG.to_dict())]
    for word, ends in listing.SYNONYMS.items():
        assert word not in flatten(CONFIG.to_dict()), f"{word} is a field"
        for end in ends:
            assert any(path.endswith(f".{end}") for path in paths), f"{word}: {end} is no field"


@pytest.mark.parametrize(
    "flags",
    [
        ["--config.learning_rate=1"],
        ["--config.z_dim=3"],
        ["--mode=sweep", "--sweep=lr=1,2"],
        ["--mode=sweep", f"--sweep={'x' * 400}=1"],
    ],
)
def test_an_unknown_field_gives_one_line(flags):
    command = [sys.executable, "launch.py", "--config=configs/gan_ring.py:small", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert len(done.stderr) < 300 and "the config has no field '" in done.stderr
    assert "python launch.py --mode=fields" in done.stderr


def test_the_list_is_printed():
    command = [sys.executable, "launch.py", "--mode=fields", "ema"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "  ema_decay=0.999  (float, in [0, 1))" in done.stdout


def test_sentences_of_a_docstring():
    found = sentences(
        """What it is.

        Args:
          one: of a kind, which
            goes on.
          two, three: both.

        Returns:
          four: none of them.
        """
    )
    assert found == {"one": "of a kind, which goes on.", "two": "both.", "three": "both."}
