"""Links, commands, fields and components on the pages exist, and the examples run."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import jaxgan
from configs import default, recipes
from jaxgan.augment import AUGMENTATIONS
from jaxgan.config import fields
from jaxgan.extractors import EXTRACTORS
from jaxgan.latents import LATENTS
from jaxgan.losses import LOSSES
from jaxgan.metrics import FAMILIES as STATISTICS
from jaxgan.metrics.protocol import PROTOCOLS
from jaxgan.models import GENERATORS
from jaxgan.regularizers import FAMILIES
from jaxgan.run import record
from jaxgan.sweeps.plan import make_plan
from jaxgan.tasks import TASKS

ROOT = Path(__file__).parents[1]
PACKAGES = "configs datasets evaluation sweeps devices benchmarks run models algorithm tasks".split()
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([ROOT / "README.md", *(p for top in ("configs", "jaxgan", "tests")
                                              for p in (ROOT / top).rglob("README.md"))])
}  # fmt: skip
# Not imported: other commands have flags of the same names.
HELP = subprocess.run(
    [sys.executable, "launch.py", "--helpfull"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout
FLAGS = set(re.findall(r"^  --(?:\[no\])?(\w+):", HELP, re.MULTILINE))
MODES = re.search(r"--mode: <(.*?)>", re.sub(r"\n\s+", "", HELP))[1].split("|")
README, CONFIGS = PAGES["README.md"], PAGES["configs/README.md"]


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)


def section(text, title):
    return re.split(r"^#+ ", text.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def first_column(table):
    return [name for line in table.splitlines() if line.startswith("| `")
            for name in re.findall(r"`([^`]+)`", line.split("|")[1])]  # fmt: skip


def commands():
    """(page, words) of every `python launch.py ...` in a block, and of those with a config in the text."""
    for page, text in PAGES.items():
        lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`([^`\n]*python launch.py [^`]*)`", text)
        for line in lines:
            if "python launch.py" in line:
                yield page, shlex.split(line.split("launch.py", 1)[1], comments=True)


@pytest.mark.parametrize("mark", ["run", "test"])
def test_two_commands_in_one_line(mark):
    assert len(re.findall(rf"^<!-- command: {mark} -->\n```bash\n[^\n]+\n```$", README, re.MULTILINE)) == 1


def test_the_front_page_is_short():
    assert len(README.splitlines()) <= 200 and len(README.split()) <= 1_600
    pictures = [ROOT / name for name in re.findall(r'<img src="([^"]+)"', README)]
    assert len(pictures) == 3 and sum(picture.stat().st_size for picture in pictures) < 300_000


def test_every_package_has_its_page():
    folders = {str(Path(page).parent) for page in PAGES}
    packages = {f"jaxgan/{package}" for package in PACKAGES} - {"jaxgan/configs"}
    assert folders >= packages | {".", "configs", "jaxgan", "tests"}


def anchors(text):
    titles = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.M), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(found.read_text()), f"{page} links to {target}"


@pytest.mark.parametrize(("page", "words"), [*commands()], ids=lambda x: x if isinstance(x, str) else "")
def test_commands_are_understood(page, words):
    """The config can be built, and every flag, field and value exists."""
    given = [word.partition("=")[::2] for word in words if word.startswith("--")]
    values = dict(given)
    config = default.get_config()
    if "--config" in values and (ROOT / values["--config"].partition(":")[0]).is_file():
        file, _, variant = values["--config"].partition(":")
        name = Path(file).stem
        config = __import__(f"configs.{name}", fromlist=["get_config"]).get_config(
            *([variant] * bool(variant))
        )
        settings = getattr(__import__(f"configs.{name}", fromlist=["SETTINGS"]), "SETTINGS", {})
        assert set(values.get("--settings", "").split(",")) - {""} <= settings.keys()
    known = fields.flatten(config.to_dict())
    for flag, value in given:
        if flag.startswith("--config."):
            name = flag.removeprefix("--config.")
            if name.split(".")[:2] == ["loss", "cubic"] or value in ("VALUE", "STEP"):
                continue  # of the example
            assert name in known
            kind = type(known[name])
            assert kind is str or isinstance(ast.literal_eval(value), kind | int)
        else:
            assert flag.removeprefix("--") in FLAGS
    sweeps = [value for flag, value in given if flag == "--sweep" and "FIELD" not in value]
    own = "--config" in values and not (ROOT / values["--config"].partition(":")[0]).is_file()
    if sweeps and not own and values.get("--combine") != "search":
        assert make_plan(config, sweeps, values.get("--combine", "grid"), int(values.get("--draws", 0))).runs
    assert values.get("--mode", "train") in MODES


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_examples_run(page, tmp_path, monkeypatch):
    """The blocks of a page, one after another."""
    monkeypatch.chdir(tmp_path)
    for registry in (LOSSES, GENERATORS):  # undoes what a page registers
        monkeypatch.setattr(registry, "_builders", dict(registry._builders))
        registry._builders.pop("cubic", None)  # from tests/own_components.py, if it was imported
    names = {}
    for block in blocks(page, "python"):
        exec(compile(block, page, "exec"), names)
    if "same" in names:
        assert (names["same"] == names["images"][:4]).all() and names["real"].shape == (64,)
        assert (
            names["of_discriminator"].tolist() == [0.0, 1.5] and names["of_gradient"].tolist() == [32.0] * 8
        )
        assert names["distance"]["frechet_distance"] == pytest.approx(2)
        assert names["numbers"]["modes"] == 1 and int(names["state"].step) == 10


def test_the_version_is_the_same_everywhere():
    for text in (README, (ROOT / "CITATION.cff").read_text()):
        assert re.search(r"^ *version\W+(\d+\.\d+\.\d+)", text, re.MULTILINE)[1] == jaxgan.__version__
    assert f"## {jaxgan.__version__}" in (ROOT / "CHANGELOG.md").read_text()


# --- Completeness -------------------------------------------------------------------------------------


def test_every_config_is_listed():
    listed = first_column(section(CONFIGS, "Configs"))
    files = {path.name for path in (ROOT / "configs").glob("*.py")} - {"default.py"}
    assert {name for name in listed if name.endswith(".py")} == files


def test_every_recipe_is_listed_with_its_paper():
    table = section(CONFIGS, "Recipes")
    assert first_column(table) == [*recipes.RECIPES]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    assert all(re.search(r"\| [^:]*\d{4}[^:]*: ", line) for line in lines)


def test_every_module_is_on_the_map():
    text = section(PAGES["jaxgan/README.md"], "The modules")
    packages = {path.name for path in (ROOT / "jaxgan").iterdir() if path.suffix == ".py" or path.is_dir()}
    packages -= {"__init__.py", "__pycache__"}
    listed = {name.rstrip("/") for name in re.findall(r"\[`([\w/.]+)`\]", text)}
    assert packages <= listed


@pytest.mark.parametrize(("page", "registry"), [
    *(("configs", fields.SECTIONS[name]) for name in ("loss", "generator_optimizer", "schedule")),
    *(("configs", registry) for registry in (AUGMENTATIONS, LATENTS, *FAMILIES.values())),
    ("jaxgan/datasets", fields.SECTIONS["dataset"]),
    ("jaxgan/models", GENERATORS),
    ("jaxgan/tasks", TASKS),
    *(("jaxgan/evaluation", registry) for registry in (EXTRACTORS, *STATISTICS.values())),
], ids=lambda x: x if isinstance(x, str) else x.kind)  # fmt: skip
def test_every_component_is_named(page, registry):
    text = PAGES[f"{page}/README.md"]
    for name in registry:
        assert f"`{name}`" in text or f"`{name}/" in text  # `tfds/<name>`


def test_every_protocol_is_named():
    assert all(f"`{name}`" in PAGES["jaxgan/evaluation/README.md"] for name in PROTOCOLS)


def test_every_changeable_field_is_named():
    assert all(f"`{field}`" in PAGES["jaxgan/run/README.md"] for field in record.CHANGEABLE)
