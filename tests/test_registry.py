import inspect
from typing import Annotated, Any, ClassVar

import flax.linen as nn
import jax
import numpy as np
import pytest

from jaxgan.augment import AUGMENTATIONS
from jaxgan.datasets import DATASETS
from jaxgan.declarations import AtLeast, Between, OneOf
from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS
from jaxgan.latents import LATENTS
from jaxgan.losses import LOSSES
from jaxgan.metrics import FAMILIES as STATISTICS
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES
from jaxgan.registry import Registry, family_of, union
from jaxgan.regularizers import FAMILIES
from jaxgan.tasks import TASKS

REGISTRIES = (
    *(
        AUGMENTATIONS,
        DATASETS,
        DISCRIMINATORS,
        EXTRACTORS,
        GENERATORS,
        LATENTS,
        LOSSES,
        OPTIMIZERS,
        SCHEDULES,
        TASKS,
    ),
    *FAMILIES.values(),
    *STATISTICS.values(),
)
ENTRIES = [(registry, name) for registry in REGISTRIES for name in registry]


@pytest.fixture
def registry():
    registry = Registry("spice")

    @registry.register("saffron")
    def saffron(shape, axis=None, *, grams: float = 0.5, origin: str = "Iran"):
        return shape, axis, grams, origin

    @registry.register("cumin")
    def cumin(*, seeds: int = 3):
        return seeds

    return registry


def test_a_name_gives_its_builder_and_registering_returns_it(registry):
    def pepper():
        return "hot"

    assert registry.register("pepper")(pepper) is pepper
    assert registry["pepper"] is pepper
    assert registry["saffron"](1, grams=2.0) == (1, None, 2.0, "Iran")
    assert list(registry) == ["saffron", "cumin", "pepper"]


def test_a_second_builder_of_a_name_is_refused_and_the_first_stays(registry):
    first = registry["cumin"]
    with pytest.raises(ValueError, match="spice 'cumin' is registered twice"):
        registry.register("cumin")(lambda: None)
    assert registry["cumin"] is first


def test_an_unknown_name_lists_the_known_ones_and_the_nearest(registry):
    with pytest.raises(UserError) as error:
        registry["safron"]
    assert str(error.value) == "unknown spice 'safron'; known: cumin, saffron. Did you mean 'saffron'?"


def test_no_suggestion_where_nothing_is_near(registry):
    with pytest.raises(UserError) as error:
        registry["zzzzz"]
    assert str(error.value) == "unknown spice 'zzzzz'; known: cumin, saffron."


def test_fields_are_the_keyword_only_parameters_with_their_defaults(registry):
    fields = registry.fields("saffron")
    assert {name: field.default for name, field in fields.items()} == {"grams": 0.5, "origin": "Iran"}
    assert fields["grams"].annotation in (float, "float")
    with pytest.raises(UserError, match="unknown spice"):
        registry.fields("salt")


@pytest.mark.parametrize(("registry", "name"), ENTRIES, ids=lambda value: getattr(value, "kind", value))
def test_every_field_of_every_entry_has_a_default_to_show_in_the_config(registry, name):
    for field in registry.fields(name).values():
        assert field.default is not inspect.Parameter.empty, field.name
        assert field.annotation is not inspect.Parameter.empty, field.name


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_registry_lists_its_entries(registry):
    assert len(list(registry)) > 0
    with pytest.raises(UserError) as error:
        registry["no such name"]
    for name in registry:
        assert name in str(error.value)


def test_kinds_differ():
    assert len({registry.kind for registry in REGISTRIES}) == len(REGISTRIES)


def test_a_bound_builder_takes_its_numbers_later(registry):
    """Fields that are floats are numbers; the others are static."""
    build, numbers = registry.bind("saffron", origin="Spain", grams=2)
    assert numbers == {"grams": 2.0}
    assert build("shape", grams=0.25) == ("shape", None, 0.25, "Spain")
    assert registry.bind("saffron")[1] == {"grams": 0.5} and registry.bind("cumin")[1] == {}
    with pytest.raises(UserError, match="spice 'cumin' has no field 'grams'; it has: seeds"):
        registry.bind("cumin", grams=1.0)


def test_families_are_read_as_one(registry):
    """In order, including entries added later. A name in two of them is an error."""
    families = {"spices": registry, "herbs": Registry("herb")}
    both = union("plant", families)
    assert list(both) == ["saffron", "cumin"]
    families["herbs"].register("sage")(lambda *, leaves=3: leaves)
    assert list(both) == ["saffron", "cumin", "sage"] and both["sage"](leaves=2) == 2
    assert family_of("sage", "plant", families) == "herbs"
    with pytest.raises(UserError, match="unknown plant 'sagee'; known: cumin, saffron, sage\\. Did"):
        family_of("sagee", "plant", families)
    families["herbs"].register("cumin")(lambda: None)
    with pytest.raises(ValueError, match="'cumin' is registered in two families: spices, herbs"):
        family_of("cumin", "plant", families)


# --- Declarations -------------------------------------------------------------------------------------


class Good(nn.Module):
    shape: tuple[int, ...]
    width: Annotated[int, AtLeast(1)] = 4
    sizes: tuple[Annotated[int, AtLeast(1)], ...] = (2, 3)
    rate: Annotated[float | None, Between(0, 1)] = None
    mode: Annotated[str, OneOf(("a", "b"))] = "a"
    activation: ClassVar = staticmethod(nn.relu)

    def check(self):
        if self.width > len(self.sizes) * 10:
            raise ValueError(f"width={self.width} is too large")


class Child(Good):
    depth: Annotated[int, AtLeast(0)] = 1


class Named(nn.Module):
    name: str = "mine"


class Scoped(nn.Module):
    scope: int = 1


class Missing(nn.Module):
    width: int


class Typed(nn.Module):
    dtype: Any = np.float32


class Outside(nn.Module):
    width: Annotated[int, AtLeast(1)] = 0


class Nested(nn.Module):
    sizes: tuple[tuple[Annotated[int, AtLeast(1)], ...], ...] = ((1,),)


def networks():
    return Registry("network", given=("shape", "axis_name"))


def test_a_class_has_its_own_fields_and_those_that_it_inherits():
    registry = networks()
    for name, cls in (("good", Good), ("child", Child)):
        assert registry.register(name)(cls) is cls
    assert list(registry.fields("good")) == ["width", "sizes", "rate", "mode"]
    assert list(registry.fields("child")) == ["width", "sizes", "rate", "mode", "depth"]
    module = registry["child"]((8, 8, 1), "devices", sizes=[5], depth=2)
    assert (module.shape, module.sizes, module.depth) == ((8, 8, 1), (5,), 2)
    assert registry.takes("child") == {"shape"} and registry.module("child") == __name__


@pytest.mark.parametrize("cls", [Named, Scoped, Missing, Typed, Outside, Nested])
def test_fields_that_no_config_could_hold_or_check_are_refused_at_once(cls):
    with pytest.raises(ValueError, match="network 'it'"):
        networks().register("it")(cls)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "network.it.width=0 must be at least 1, in whole numbers"),
        ({"width": 2.5}, "network.it.width=2.5 must be at least 1, in whole numbers"),
        ({"width": np.int64(0)}, "must be at least 1"),
        ({"width": True}, "must be at least 1, in whole numbers"),
        ({"width": "4"}, "must be at least 1"),
        ({"sizes": (2, 0)}, r"network.it.sizes=\(2, 0\) must be at least 1"),
        ({"sizes": 3}, "must be a list of values"),
        ({"rate": 1.0}, r"must lie in \[0, 1\)"),
        ({"rate": float("nan")}, "must lie in"),
        ({"mode": "c"}, "must be one of a, b"),
        ({"mode": 1}, "must be one of a, b"),
        ({"width": 21}, "network.it: width=21 is too large"),
        ({"height": 1}, "has no field 'height'; it has: width, sizes, rate, mode"),
    ],
)
def test_values_out_of_range_are_refused_by_field(fields, message):
    registry = networks()
    registry.register("it")(Good)
    with pytest.raises(UserError, match=message):
        registry["it"]((8, 8, 1), **fields)


def test_builders_declare_in_the_same_way():
    registry = networks()

    @registry.register("built")
    def built(shape, axis_name=None, *, width: Annotated[int, AtLeast(1)] = 2):
        return shape, axis_name, width

    assert registry["built"]((3,), width=5) == ((3,), None, 5)
    assert registry["built"](shape=(3,), axis_name="x") == ((3,), "x", 2)
    with pytest.raises(UserError, match="network.built.width=0 must be at least 1"):
        registry["built"]((3,), width=0)
    with pytest.raises(TypeError, match="takes shape, axis_name, each once"):
        registry["built"]((3,), None, 7)
    with pytest.raises(ValueError, match="field 'width' has no default"):
        registry.register("bare")(lambda shape, *, width: width)
    with pytest.raises(ValueError, match="put '\\*' in front of 'width'"):
        registry.register("loose")(lambda shape, width=4: width)


def test_traced_numbers_are_not_checked():
    registry = Registry("penalty")

    @registry.register("bounded")
    def bounded(*, bound: Annotated[float, AtLeast(0)] = 1.0):
        return bound + 1

    assert jax.jit(lambda bound: registry["bounded"](bound=bound))(-3.0) == -2
    with pytest.raises(UserError, match="penalty.bounded.bound=-3.0 must be at least 0"):
        registry["bounded"](bound=-3.0)


@pytest.mark.parametrize("field", ["name: str = 'mine'", "scope: int = 1"])
def test_a_field_that_linen_drops_is_found_without_a_source_file(field):
    space = {"nn": nn}
    exec(f"class It(nn.Module):\n    {field}\n    width: int = 1", space)
    exec("class Plain(nn.Module):\n    width: int = 1", space)
    registry = networks()
    registry.register("plain")(space["Plain"])
    with pytest.raises(ValueError, match="which linen drops"):
        registry.register("it")(space["It"])
