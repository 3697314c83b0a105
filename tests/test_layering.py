"""Imports point downward only and are light. They are read from the source code."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The packages and modules of the top level, from the top layer to the bottom. A file may import from its own
# package and from lower layers. Two packages in one layer do not import each other.
LAYERS = [
    "launch configs",
    "benchmark",
    "benchmarks",
    "sweeps",
    "jobs",
    "evaluation",
    "sampler",
    "run",
    "config",
    "devices",
    "algorithm",
    "extractors metrics drawing",
    "models",
    "losses augment latents optimizers regularizers datasets tasks",
    "registry compilation files",
    "declarations",
    "errors",
]
DEPTH = {package: depth for depth, layer in enumerate(LAYERS) for package in layer.split()}
SEE_A_CONFIG = set(
    "launch configs __init__ benchmark benchmarks sweeps jobs evaluation sampler run config".split()
)
HEAVY = set(
    "tensorflow tensorflow_datasets tensorboard clu.metric_writers matplotlib sklearn grain pandas scipy "
    "jinja2".split()
)

FILES = sorted([ROOT / "launch.py", *(ROOT / "configs").glob("*.py"), *(ROOT / "jaxgan").rglob("*.py")])
LIBRARY = [file for file in FILES if file != ROOT / "jaxgan" / "__init__.py"]


def name(file):
    return str(file.relative_to(ROOT))


def package(file):
    """configs/x.py → configs, jaxgan/datasets/idx.py → datasets, jaxgan/jobs/train.py → jobs."""
    first, *rest = file.relative_to(ROOT).with_suffix("").parts
    return rest[0] if first == "jaxgan" else first


def imports(tree, *, top_level_only=False):
    """The dotted names that the code imports: `from a import b` counts as a.b."""
    found = set()
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if not (top_level_only and late):
            nodes += ast.iter_child_nodes(node)
    return found


def packages_of(imported):
    """The packages of this project among dotted names."""
    packages = set()
    for dotted in imported:
        first, *rest = dotted.split(".")
        if first == "jaxgan" and rest:
            packages.add(rest[0])
        elif first in ("configs", "launch"):
            packages.add(first)
    return packages


def parse(file):
    return ast.parse(file.read_text(), name(file))


def below(package, other):
    return DEPTH[other] > DEPTH[package] or other == package


@pytest.mark.parametrize("file", LIBRARY, ids=name)
def test_imports_point_downward(file):
    assert package(file) in DEPTH, f"{name(file)}: give it a layer in LAYERS"
    upward = {other for other in packages_of(imports(parse(file))) if not below(package(file), other)}
    assert not upward, f"{name(file)} imports from above or beside: {sorted(upward)}"


def test_every_layer_has_files():
    assert {package(file) for file in LIBRARY} == set(DEPTH)
    entries = [
        entry for entry in (ROOT / "jaxgan").iterdir() if entry.name not in ("__pycache__", "README.md")
    ]
    assert len(entries) <= 29


def test_there_is_no_import_cycle():
    """Except for a package, which imports its own files so that they register themselves."""
    dotted = {file: ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in LIBRARY}
    modules = {name.removesuffix(".__init__"): file for file, name in dotted.items()}

    def targets(file):
        for dotted in imports(parse(file)):
            found = next((d for d in (dotted, dotted.rpartition(".")[0]) if d in modules), None)
            if found:
                yield found

    graph = {module: set(targets(file)) for module, file in modules.items()}
    for module, imported in graph.items():
        if modules[module].name == "__init__.py":
            graph[module] = {other for other in imported if not other.startswith(f"{module}.")}
    list(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the cycle
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nothing_heavy_is_imported_with_a_module(file):
    early = imports(parse(file), top_level_only=True)
    heavy = {dotted for dotted in early if any(f"{dotted}.".startswith(f"{h}.") for h in HEAVY)}
    assert not heavy, f"{name(file)} imports {sorted(heavy)} at its top; import them where they are used"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_only_some_packages_use_configs(file):
    sees = any(dotted.partition(".")[0] == "ml_collections" for dotted in imports(parse(file)))
    assert not sees or package(file) in SEE_A_CONFIG, f"{name(file)}: take plain keyword arguments instead"


def test_there_is_no_catch_all_file():
    assert not [name(file) for file in FILES if file.stem in ("utils", "util", "helpers", "common", "misc")]


def modules_after(statement):
    command = [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_imports_no_module():
    loaded = modules_after("import jaxgan")
    assert not loaded & {"jax", "flax", "numpy", "tensorflow", "orbax", "PIL"}


def test_training_starts_without_tensorflow():
    loaded = modules_after("import jaxgan.jobs.train, jaxgan.jobs.sample, jaxgan.run.console")
    assert not loaded & {"tensorflow", "tensorflow_datasets", "tensorboard", "matplotlib", "sklearn", "grain"}


def test_all_forms_of_imports_are_found():
    tree = ast.parse("import a.b\nfrom jaxgan.losses import x\nif c:\n    import d\ndef f():\n    import e\n")
    assert imports(tree) == {"a.b", "jaxgan.losses.x", "d", "e"}
    assert imports(tree, top_level_only=True) == {"a.b", "jaxgan.losses.x", "d"}
    assert packages_of(imports(tree)) == {"losses"}
    assert below("jobs", "errors")
    assert not below("losses", "algorithm")
    assert not below("metrics", "extractors")
