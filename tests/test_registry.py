import inspect

import pytest

from jaxgan.augment import AUGMENTATIONS
from jaxgan.datasets import DATASETS
from jaxgan.errors import UserError
from jaxgan.extractors import EXTRACTORS
from jaxgan.latents import LATENTS
from jaxgan.losses import LOSSES
from jaxgan.metrics import FAMILIES as STATISTICS
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.optimizers import OPTIMIZERS, SCHEDULES
from jaxgan.registry import Registry, family_of, union
from jaxgan.regularizers import FAMILIES

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
def test_every_registry_names_all_that_it_knows(registry):
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
    """In their order, with what they get later; a name in two of them is a mistake."""
    families = {"spices": registry, "herbs": Registry("herb")}
    both = union("plant", families)
    assert list(both) == ["saffron", "cumin"]
    families["herbs"].register("sage")(lambda *, leaves: leaves)
    assert list(both) == ["saffron", "cumin", "sage"] and both["sage"](leaves=2) == 2
    assert family_of("sage", "plant", families) == "herbs"
    with pytest.raises(UserError, match="unknown plant 'sagee'; known: cumin, saffron, sage\\. Did"):
        family_of("sagee", "plant", families)
    families["herbs"].register("cumin")(lambda: None)
    with pytest.raises(ValueError, match="'cumin' is registered in two families: spices, herbs"):
        family_of("cumin", "plant", families)
