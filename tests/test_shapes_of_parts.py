"""Losses, penalties, networks, a sampler and an evaluator have the shapes of their annotations."""

import collections.abc
import functools
import importlib
import inspect
import pkgutil
import sys
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import translators
from beartype import beartype
from conditional import configure, make, make_batch
from gans import load_digits, make_gan, make_hyper, make_state
from jaxtyping import Array, Float, TypeCheckError, jaxtyped
from test_shapes import CALLS
from test_shapes_of_tasks import CALLS as TASK_CALLS

import jaxgan
from jaxgan.algorithm import schedules, steps
from jaxgan.algorithm.conditions import CONDITIONS, Codes
from jaxgan.augment import AUGMENTATIONS, augment
from jaxgan.jobs import pictures
from jaxgan.losses import LOSSES, Loss
from jaxgan.models import DISCRIMINATORS, GENERATORS
from jaxgan.models.conditional import ConditionalDiscriminator, ConditionalGenerator
from jaxgan.models.convolution import plain_layers
from jaxgan.models.multi import MultiGenerator
from jaxgan.regularizers import (
    CLASS_LOSSES,
    CONSISTENCY,
    FEATURE_PENALTIES,
    GRADIENT_PENALTIES,
    LOGIT_PENALTIES,
    RECONSTRUCTION,
    WEIGHT_PENALTIES,
    classes,
    consistency,
    feature,
    gradient,
    logit,
    reconstruction,
    weight,
)
from jaxgan.sampler import Kept, Sampler
from jaxgan.sweeps import population

B = 4
KEYS = jax.random.split(jax.random.key(0), B)
IMAGES = jax.random.uniform(jax.random.key(1), (B, 8, 8, 1), minval=-1)
LATENTS = jax.random.normal(jax.random.key(2), (B, 3))
LOGITS, LONGER = jnp.arange(4.0), jnp.arange(5.0)


def checked(function):
    return jaxtyped(function, typechecker=beartype)


def as_declared(function, declared):
    """The function with arguments and result checked against `declared`, a `Callable[[...], ...]`."""
    *_, kinds, result = typing.get_args(declared)

    def forward(*arguments):
        return function(*arguments)

    kind = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(f"x{i}", kind, annotation=of) for i, of in enumerate(kinds)]
    forward.__signature__ = inspect.Signature(parameters, return_annotation=result)
    return checked(forward)


def refuses(function, *arguments):
    with pytest.raises(TypeCheckError):
        function(*arguments)


def field(kind, name):
    return typing.get_type_hints(kind)[name]


def critic(examples):
    return jnp.tanh(examples).reshape(len(examples), -1).sum(axis=1)


def generate(z):
    return jnp.tanh(z.sum(axis=1)[:, None, None, None] + jnp.zeros((8, 8, 1)))


def test_a_wrong_result_is_refused():
    """The tests below rely on this check of results."""
    mean = as_declared(lambda real, fake: jnp.mean(real), field(Loss, "discriminator"))
    refuses(mean, LOGITS, LOGITS)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("name", list(LOSSES))
def test_losses(name, player):
    loss = LOSSES[name]()
    part = as_declared(getattr(loss, player), field(Loss, player))
    part(LOGITS, LOGITS)
    refuses(part, LOGITS, LONGER)
    as_declared(loss.output_fn, field(Loss, "output_fn"))(LOGITS)


@pytest.mark.parametrize("name", list(GRADIENT_PENALTIES))
def test_gradient_penalties(name):
    penalty = as_declared(GRADIENT_PENALTIES[name](), gradient.GradientPenalty)
    penalty(critic, IMAGES, IMAGES / 2, KEYS, None)
    refuses(penalty, critic, IMAGES, IMAGES[:2], KEYS, None)


@pytest.mark.parametrize("name", list(LOGIT_PENALTIES))
def test_logit_penalties(name):
    init, penalty = LOGIT_PENALTIES[name]()
    penalty = as_declared(penalty, field(logit.LogitPenalty, "penalty"))
    penalty(LOGITS, LOGITS, init())
    refuses(penalty, LOGITS, LONGER, init())


@pytest.mark.parametrize("name", list(CONSISTENCY))
def test_consistency(name):
    flip = functools.partial(augment, (AUGMENTATIONS["flip"](),))
    terms = as_declared(CONSISTENCY[name](), consistency.Terms)
    terms(critic, generate, flip, IMAGES, LATENTS, KEYS)
    refuses(terms, critic, generate, flip, IMAGES, LATENTS, KEYS[:2])


@pytest.mark.parametrize("name", list(WEIGHT_PENALTIES))
def test_weight_penalties(name):
    params = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}
    found = WEIGHT_PENALTIES[name]()
    as_declared(found.penalty, field(weight.WeightPenalty, "penalty"))(params, found.init(params))


@pytest.mark.parametrize("name", list(FEATURE_PENALTIES))
def test_feature_penalties(name):
    penalty = as_declared(FEATURE_PENALTIES[name](), feature.FeaturePenalty)
    penalty(LATENTS, LATENTS + 1)
    refuses(penalty, LATENTS, LATENTS[:, :2])


FEATURES = {"classifier_content": lambda x: x[:, 0, :, 0], "vgg_content": lambda x: x[:, ::2]}


@pytest.mark.parametrize("name", list(RECONSTRUCTION))
def test_reconstruction_terms(name):
    term = as_declared(RECONSTRUCTION[name](), reconstruction.Term)
    pairs = jnp.concatenate([IMAGES, IMAGES], axis=-1)  # for the terms of pairs
    parts = reconstruction.Parts({"image": pairs}, lambda given: given["image"], FEATURES)
    term(pairs, pairs / 2, parts)
    refuses(term, pairs, pairs[:2], parts)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("name", list(CLASS_LOSSES))
def test_class_losses(name, player):
    loss = CLASS_LOSSES[name]()
    if loss.of == "codes":
        condition = CONDITIONS["codes"](())
        codes = condition.draw(KEYS)["codes"]
        checked_fields(codes, Codes)
    else:
        condition = CONDITIONS["labels"]((0, 1, 2))
        codes = None
    head = loss.head(condition)
    outputs = jnp.ones((B, head.outputs))
    embedding = jnp.ones((B, head.embedding)) if head.embedding else None
    given = {"labels": jnp.array([0, 1, 2, 1]), "codes": codes}
    said = classes.Said(outputs, embedding, given)
    checked_fields(said, classes.Said)
    result = as_declared(getattr(loss, player), field(classes.ClassLoss, player))(said, said)
    assert isinstance(result, Float[Array, f"{B}"])


def checked_fields(value, kind):
    """Checks the fields of a tuple against their annotations; dimensions with one name have one size."""
    fields = typing.get_type_hints(kind)
    as_declared(lambda *_: None, typing.Callable[[*fields.values()], None])(*value)


def own_call(network):
    """The network's `__call__` with checked shapes."""
    return checked(type(network).__call__)


@pytest.mark.parametrize("name", list(GENERATORS))
def test_generators(name):
    of_images = "given_shape" in GENERATORS.takes(name)
    given = {"image": IMAGES} if of_images else {}
    network = GENERATORS[name]((8, 8, 1), None, **({"given_shape": (8, 8, 1)} if of_images else {}))
    variables = jax.eval_shape(functools.partial(network.init, **given), jax.random.key(0), LATENTS)
    run = functools.partial(network.apply, method=own_call(network), **given)
    images = jax.eval_shape(run, variables, LATENTS)
    assert images.shape == (B, 8, 8, 1)
    refuses(functools.partial(jax.eval_shape, run), variables, LATENTS[0])


@pytest.mark.parametrize("name", list(DISCRIMINATORS))
def test_discriminators(name):
    of_patches = {"receptive_field": 16} if name == "patchgan" else {}
    network = DISCRIMINATORS[name]((8, 8, 1), None, **of_patches)
    variables = jax.eval_shape(network.init, jax.random.key(0), IMAGES)
    run = functools.partial(network.apply, method=own_call(network), features=True)
    logits, features = jax.eval_shape(run, variables, IMAGES)
    assert logits.shape == ((B, 4) if of_patches else (B,)) and len(features) == B and features.ndim == 2
    refuses(functools.partial(jax.eval_shape, run), variables, LATENTS > 0)


def test_networks_around_others():
    labels = jnp.array([0, 1, 2, 1])
    generator = ConditionalGenerator(GENERATORS["mlp"]((8, 8, 1), None), 3)
    discriminator = ConditionalDiscriminator(DISCRIMINATORS["mlp"]((8, 8, 1), None), 3)
    for network, x in ((generator, LATENTS), (discriminator, IMAGES)):
        variables = jax.eval_shape(functools.partial(network.init, labels=labels), jax.random.key(0), x)
        run = functools.partial(network.apply, method=own_call(network))
        found = jax.eval_shape(functools.partial(run, labels=labels), variables, x)
        assert len(found) == B
        refuses(functools.partial(jax.eval_shape, functools.partial(run, labels=labels[:2])), variables, x)
    several = MultiGenerator(GENERATORS["mlp"]((8, 8, 1), None), 2)
    variables = jax.eval_shape(several.init, jax.random.key(0), LATENTS)
    run = functools.partial(several.apply, method=own_call(several))
    refuses(functools.partial(jax.eval_shape, run), variables, LATENTS[0])


@pytest.fixture(scope="module")
def sampler():
    state = make_state(gan := make_gan())
    weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
    return Sampler(gan, state.ema, 0, {}, weights, {})


def test_a_sampler(sampler):
    latents, decode, judge = map(checked, (Sampler.latents, Sampler.decode, Sampler.judge))
    z = latents(sampler, 0, 5)
    images = decode(sampler, z)
    assert checked(Sampler.__call__)(sampler, 0, 5).shape == images.shape == (5, 8, 8, 1)
    assert judge(sampler, images).shape == (5,)
    for function in (Sampler.rows, Sampler.interpolate, Sampler.read_labels):
        checked(function)(sampler, **({"labels": None} if function is Sampler.read_labels else {}))
    for wrong in (z[0], z.astype(int), images):
        refuses(decode, sampler, wrong)
    for wrong in (images[0], images / 255.0):
        refuses(judge, sampler, wrong)


def parts(kind):
    """An annotation and its parts. Parts of dicts and of functions are left out."""
    closed = typing.get_origin(kind) in (dict, collections.abc.Callable)
    return (kind, *(() if closed else typing.get_args(kind)))


def functions_of_arrays():
    """All public functions that take arrays, by name. An array without a shape is refused."""
    found = {}
    for entry in pkgutil.walk_packages(jaxgan.__path__, "jaxgan."):
        if entry.name.startswith("jaxgan.benchmarks.pytorch"):  # these need PyTorch
            continue
        module = importlib.import_module(entry.name)
        for name, function in vars(module).items():
            of = inspect.unwrap(function) if callable(function) else None
            if name.startswith("_") or not inspect.isfunction(of) or of.__module__ != entry.name:
                continue
            arguments = inspect.signature(function).parameters.values()
            kinds = [kind for argument in arguments for kind in parts(argument.annotation)]
            assert jax.Array not in kinds and np.ndarray not in kinds, f"{entry.name}.{name}: say its shape"
            if any("jaxtyping" in getattr(kind, "__module__", "") for kind in kinds):
                found[f"{entry.name}.{name}"] = function
    return found


@pytest.fixture
def called(monkeypatch):
    """(functions, names): all functions of arrays, checked wherever used, and the names of those called."""
    names, by_function, functions = set(), {}, functions_of_arrays()
    for name, function in functions.items():
        if not inspect.isgeneratorfunction(inspect.unwrap(function)):
            by_function[function] = recorded(function, name, names)
    for module in [module for name, module in sys.modules.items() if name.startswith("jaxgan.")]:
        for name, value in list(vars(module).items()):
            if callable(value) and getattr(value, "__hash__", None) and value in by_function:
                monkeypatch.setattr(module, name, by_function[value])
    return functions, names


def recorded(function, name, names):
    @functools.wraps(function)
    def forward(*arguments, **more):
        names.add(name)
        return function(*arguments, **more)

    return checked(forward)


LABELS = {
    **{f"regularizers.{name}.weight": 1.0 for name in ("ac", "contrastive", "d2d_ce", "multi_hinge")},
    "class_balance": "weights",
    "condition.labels.generator": "batch_norm",
    "generator.mlp.batch_norm": True,
    "generator.mlp.hidden": (8, 8),
    "generator.mlp.noise": True,
    "generator.mlp.latent_injection": True,
    "discriminator.mlp.minibatch_stddev": 4,
}
CODES = {
    "condition.name": "codes",
    "condition.codes.categorical": (3, 4),
    "regularizers.information.weight": 1.0,
}
TRICKS = {
    "condition.name": "none",
    **{f"regularizers.{name}.weight": 1.0 for name in ("dragan", "r2", "lecam", "zcr", "clip")},
    "augment.names": ("flip",),
    "augment.adaptive": True,
    "augment.probability": 0.0,
    "packing": 2,
    "label_flip": 0.1,
    "lookahead_every": 2,
    "generator_clip_norm": 1.0,
    "accumulate": 2,
}
SCHEDULES = {
    "condition.name": "none",
    "schedules.ema_decay.form": "cosine",
    "schedules.discriminator_loss_weight.form": "linear",
    "schedules.generator_loss_weight.form": "exponential",
    "schedules.generator_loss_weight.end": 2.0,
    "regularizers.r1.weight": 1.0,
    "regularizers.r1.own_step": True,
    "nonfinite_gradients": "skip",
}


def trace_gradient(registry, name, x, **fields):
    """A network's gradients by its weights in training, with attention if it has that field."""
    attention = {"attention": (8,)} if "attention" in registry.fields(name) else {}
    network = registry[name]((16, 16, 1), **attention, **fields)

    def total(params, others):
        return network.apply({"params": params, **others}, x, train=True, mutable=True)[0].sum()

    variables = dict(jax.eval_shape(network.init, jax.random.key(0), x))
    jax.eval_shape(jax.grad(total), variables.pop("params"), variables)


def trace_translators():
    image = jnp.zeros((B, 64, 64, 1))
    for name in GENERATORS:
        if "given_shape" in GENERATORS.takes(name):
            network = GENERATORS[name]((64, 64, 1), given_shape=(64, 64, 1), width=2, latent="joined")
            run = functools.partial(network.init_with_output, train=True, image=image)
            jax.eval_shape(run, jax.random.key(0), LATENTS)


def trace_given_images():
    """A step and a sampler of a generator that is given images."""
    for changes in (translators.BOTH_WAYS, {}):
        gan, state = translators.make(translators.configure(**changes))
        jax.eval_shape(functools.partial(steps.train_step, gan=gan), state, translators.make_batch(gan))
    kept = Kept(np.resize(load_digits(), (16, 8, 8, 1)))
    some = Sampler(gan, state.ema, 0, {}, {}, state.hyper["loss"], kept)
    some.sheet()
    some.translate(np.zeros((1, 4, 4, 1), np.uint8))


def test_steps_and_samplers_keep_to_their_shapes(called, tmp_path):
    """Every public function of arrays is called here or is in the table of `test_shapes.py`."""
    functions, names = called
    for changes in (LABELS, CODES, TRICKS, SCHEDULES):
        gan, state = make(configure(**changes))
        jax.eval_shape(functools.partial(steps.train_step, gan=gan), state, make_batch(gan))
        weights = {"params": state.discriminator.params, "model_state": state.discriminator.model_state}
        some = Sampler(gan, state.ema, 0, {}, weights, state.hyper["loss"])
        images = some.rows()
        some(0, 3)
        some.judge(images[:2])
        if gan.classes:
            some.classify(images[:2])
        if gan.num_codes:
            some.posterior(images[:2])
            some.vary_code(0, num=1)
    images = jnp.zeros((B, 16, 16, 1))
    for registry, x in ((GENERATORS, LATENTS), (DISCRIMINATORS, images)):
        for name in ("biggan", "biggan_deep", "r3gan"):
            trace_gradient(registry, name, x)
    with plain_layers():
        trace_gradient(DISCRIMINATORS, "r3gan", images)
    trace_gradient(DISCRIMINATORS, "r3gan", images, group_width=4)
    trace_translators()
    trace_given_images()
    for form in ("cosine", "exponential"):  # a schedule finds them by name
        getattr(schedules, form)(1.0, 2.0, jnp.zeros(()))
    hyper, numbers = make_hyper(), population.optimizer_numbers(plain := make_gan())
    members = population.init_members(plain, np.zeros((2, 2), np.uint32), [hyper] * 2, [numbers] * 2)
    population.member_of(population.select(members, np.array([1, 0])), 1)
    about = {"Run": "mine", "Data": "digits", "Step": 1, "Weights": "ema"}
    digits = load_digits()[:3]
    pictures.draw_neighbours(tmp_path, digits, digits, np.arange(3.0), "pairs", about)
    left_out = {name for name, function in functions.items() if function not in CALLS | TASK_CALLS} - names
    assert not left_out
