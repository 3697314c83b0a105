"""Inconsistent configs are refused before anything is built. The message has the field and the remedy."""

import pytest
from runs import tiny_config

from configs import default
from jaxgan.algorithm.train_state import variable_shapes
from jaxgan.config import checks, dependencies, experiment, fields
from jaxgan.config.essential import essential
from jaxgan.errors import UserError

REFUSED = {
    "unknown loss 'wgan'; known: .*wasserstein": {"loss.name": "wgan"},
    "regularizers.r1.interval=0 must be at least 1": {"regularizers.r1.interval": 0},
    "regularizers.r1.weight=-1.0 must be at least 0": {"regularizers.r1.weight": -1.0},
    "regularizers.r1.weight=nan": {"regularizers.r1.weight": float("nan")},
    "set regularizers.lecam.weight": {"regularizers.lecam.decay": 0.5},
    "loss.least_squares.a is set, but loss.name is 'nonsaturating'": {"loss.least_squares.a": 0.5},
    "top_k=17, but an update has 16 logits": {"top_k": 17},
    "top_k=9, but an update has 8": {"top_k": 9, "packing": 2},
    "top_k=16, but an update has 16": {"top_k": 16},
    "top_k_steps is set, but top_k is 0: set top_k, or top_k_steps=0": {"top_k_steps": 5},
    "batch_size=16 is no multiple of 3": {"packing": 3},
    "no multiple of 12": {"num_generators": 3, "accumulate": 4},
    "packing would mix": {"packing": 2, "num_generators": 2},
    "generator_steps are both above 1": {"discriminator_steps": 2, "generator_steps": 2},
    "leaves the generator nothing to learn from": {"generator_loss_weight": 0.0},
    "leaves the generator nothing .*: set regularizers.feature_matching.weight": {
        "generator_loss_weight": 0.0,
        "condition.name": "labels",
        "regularizers.multi_hinge.weight": 1.0,
        "regularizers.multi_hinge.generator": 0.0,
    },
    "leaves the discriminator nothing": {"discriminator_loss_weight": 0.0},
    "unrolled_steps=11 must lie in": {"unrolled_steps": 11},
    "unrolled_steps=-1 must lie in": {"unrolled_steps": -1},
    "num_generators=65 must lie in": {"num_generators": 65},
    "'lion', whose update is a sign": {"unrolled_steps": 2, "discriminator_optimizer.name": "lion"},
    "regularizers.clip.weight=2.0 must be at most 1": {"regularizers.clip.weight": 2.0},
    "eps_root=1e-16": {"unrolled_steps": 2},
    "label_flip=1.5 must lie in": {"label_flip": 1.5},
    "latent_threshold is set, but latent is 'normal'": {"latent_threshold": 1.0},
    "latent_threshold=-1.0 must be above 0": {"latent": "truncated", "latent_threshold": -1.0},
    "compute_dtype='float16' is not known": {"compute_dtype": "float16"},
    "class_balance='even' is not known": {"class_balance": "even"},
    "class_weights is set, but class_balance is 'none'": {"class_weights": (1.0, 2.0)},
    "must not all be 0": {"class_balance": "weights", "class_weights": (0.0, 0.0)},
    "must all be numbers of at least 0": {"class_balance": "weights", "class_weights": (1.0, float("inf"))},
    "unknown augmentation 'cutuot'.*Did you mean 'cutout'": {"augment.names": ("cutuot",)},
    "augment.cutout.ratio is set, but augment.names does not have it": {"augment.cutout.ratio": 0.2},
    r"augment.adaptive is set, but augment.names is \(\)": {"augment.adaptive": True},
    "set consistency_augment.names=flip,crop": {"regularizers.cr.weight": 1.0},
    "neither regularizers.cr nor bcr has a weight": {"consistency_augment.names": ("flip",)},
    "instance_noise.stddev=-0.1": {"instance_noise.stddev": -0.1},
    "unknown schedule 'cosin'": {"instance_noise.schedule.name": "cosin"},
    "half_linear.final=nan must be finite": {
        "schedule.name": "half_linear",
        "schedule.half_linear.final": float("nan"),
    },
    "discriminator_clip_norm=-1.0": {"discriminator_clip_norm": -1.0},
    "top_k looks at the whole batch": {"top_k": 4, "accumulate": 2},
    "unrolled_steps looks at the whole": {
        "unrolled_steps": 2,
        "discriminator_optimizer.adam.eps_root": 1e-16,
        "accumulate": 2,
    },
    "loss.name=relativistic_average_hinge looks at": {
        "loss.name": "relativistic_average_hinge",
        "accumulate": 2,
    },
    "regularizers.feature_matching looks at": {"regularizers.feature_matching.weight": 1.0, "accumulate": 2},
    "discriminator.mlp.minibatch_stddev looks at": {"discriminator.mlp.minibatch_stddev": 6, "accumulate": 2},
    "discriminator.mlp.minibatch_discrimination looks at": {
        "discriminator.mlp.minibatch_discrimination": 3,
        "accumulate": 2,
    },
    "compares with the mean of all$": {"top_k": 4, "loss.name": "relativistic_average"},
    "set class_balance=resample": {"class_balance": "weights", "loss.name": "relativistic_pairing"},
    "do not reach through the fakes that regularizers.zcr": {
        "unrolled_steps": 1,
        "discriminator_optimizer.adam.eps_root": 1e-16,
        "regularizers.zcr.weight": 1.0,
    },
    "augment.multipliers has 1 numbers for 2 augment.names": {
        "augment.names": ("flip", "crop"),
        "augment.multipliers": (0.5,),
    },
    "generator_embedding is set, but the generator joins none": {
        "condition.name": "labels",
        "condition.labels.generator": "batch_norm",
        "generator.dcgan.batch_norm": True,
        "condition.labels.generator_embedding": 4,
    },
    "set augment.probability=0": {"augment.names": ("flip",), "augment.adaptive": True},
    "those of loss 'wasserstein' have no zero": {
        "augment.names": ("flip",),
        "augment.adaptive": True,
        "augment.probability": 0.0,
        "loss.name": "wasserstein",
    },
    "names one twice": {"augment.names": ("flip,flip",)},
    "noise tells them apart": {"regularizers.zcr.weight": 1.0, "generator.dcgan.noise": True},
    "lookahead_alpha=2.0": {"lookahead_every": 5, "lookahead_alpha": 2.0},
    "lookahead_alpha is set, but lookahead_every is 0": {"lookahead_alpha": 0.3},
    "schedule.name is set, but instance_noise.stddev is 0": {"instance_noise.schedule.name": "linear"},
    "warmup_steps is set, but instance_noise.stddev": {"instance_noise.schedule.constant.warmup_steps": 5},
    "augment.target is set, but augment.adaptive is False": {
        "augment.names": ("flip",),
        "augment.target": 0.5,
    },
    "evaluation.best is set, but eval_every is 0": {"evaluation.best": "fid_10k"},
    "evaluation.best_is is set, but evaluation.best is ''": {"evaluation.best_is": "highest"},
    "mlp.slope is set, but generator.mlp.activation is 'relu': set .*activation=leaky_relu": {
        "generator.mlp.slope": 0.1,
        "generator.mlp.activation": "relu",
    },
    "activation is set, but discriminator.mlp.maxout is 5: set discriminator.mlp.maxout=0": {
        "discriminator.mlp.activation": "relu",
        "discriminator.mlp.maxout": 5,
    },
    "slope is set, but discriminator.mlp.maxout is 5": {
        "discriminator.mlp.slope": 0.1,
        "discriminator.mlp.maxout": 5,
    },
    "dataset.path is set, but 'digits' needs no file": {"dataset.path": "digits.npz"},
    "packing=2 and condition.name=labels: examples of several classes": {
        "packing": 2,
        "condition.name": "labels",
    },
    "packing=2 and condition.name=codes: the codes of several examples .* set packing=1": {
        "packing": 2,
        "condition.name": "codes",
        "regularizers.information.weight": 1.0,
    },
    "information.variance is set, but condition.codes.continuous is 0: set .*variance=fixed": {
        "condition.name": "codes",
        "condition.codes.continuous": 0,
        "regularizers.information.weight": 1.0,
        "regularizers.information.variance": "learned",
    },
    "information.variance is set, but regularizers.information.continuous is 0.0: set .*variance=fixed": {
        "condition.name": "codes",
        "regularizers.information.weight": 1.0,
        "regularizers.information.continuous": 0.0,
        "regularizers.information.variance": "learned",
    },
    "num_generators=2 and condition.name=labels": {"num_generators": 2, "condition.name": "labels"},
    "loss.name=relativistic_pairing compares .* condition.labels.fakes=paired": {
        "loss.name": "relativistic_pairing",
        "condition.name": "labels",
        "condition.labels.fakes": "data",
    },
    "regularizers.zero_centered compares .* condition.labels.fakes=paired": {
        "regularizers.zero_centered.weight": 1.0,
        "condition.name": "labels",
        "condition.labels.fakes": "uniform",
    },
    "condition.labels.discriminator=none, and no loss looks at labels": {
        "condition.name": "labels",
        "condition.labels.discriminator": "none",
    },
    "condition.labels.embedding is set, but no network joins it": {
        "condition.name": "labels",
        "condition.labels.embedding": 20,
        "condition.labels.generator": "batch_norm",
        "condition.labels.discriminator": "projection",
    },
    "condition.labels.fakes is set, but condition.name is 'none'": {"condition.labels.fakes": "data"},
    "condition.labels.fakes='paird' must be one of auto, paired": {
        "condition.name": "labels",
        "condition.labels.fakes": "paird",
    },
    "unknown condition 'label'; known: codes, image, labels, none. Did you mean 'labels'": {
        "condition.name": "label"
    },
}


def test_groups_that_divide_the_batch_of_a_device_are_accepted():
    checks.check(tiny_config(discriminator__mlp__minibatch_stddev=4, accumulate=2, discriminator__name="mlp"))


@pytest.mark.parametrize(
    ("condition", "loss"), [("labels", "ac"), ("codes", "information"), ("none", "feature_matching")]
)
def test_a_generator_may_learn_from_another_term_than_the_loss(condition, loss):
    term = {f"regularizers__{loss}__weight": 1.0}
    checks.check(tiny_config(generator_loss_weight=0.0, condition__name=condition, **term))


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    config = tiny_config(**{field.replace(".", "__"): value for field, value in REFUSED[message].items()})
    with pytest.raises(UserError, match=message) as error:
        checks.check(config)
    assert "\n" not in str(error.value)


def test_defaults_of_dependent_fields_match_the_config():
    known = fields.flatten(default.get_config().to_dict())
    assert all(known[need.partition("=")[0]] is not None for need in dependencies.NEEDS)
    expected = {field: value for needy in dependencies.NEEDS.values() for field, value in needy.items()}
    assert {field: known[field] for field in expected} == expected


@pytest.mark.parametrize(("overrides", "layers"), [
    ({"discriminator__mlp__spectral_norm": "True"}, "dense_0, output"),
    ({"discriminator__dcgan__spectral_norm": "=all"}, "conv_0, conv_1, output"),
    ({"generator__mlp__spectral_norm": "conv", "generator__mlp__latent_injection": True,
      "generator__mlp__hidden": (4, 4), "num_generators": 2}, "dense_0, dense_1, inject_1, output"),
])  # fmt: skip
def test_a_spectral_norm_pattern_that_matches_no_layer_is_refused(overrides, layers):
    field, pattern = next(iter(overrides.items()))
    with pytest.raises(UserError, match=f"{field.replace('__', '.')}='{pattern}' matches none of {layers}:"):
        experiment.make_gan(tiny_config(**overrides), (8, 8, 1))
    experiment.make_gan(tiny_config(**overrides | {field: "out"}), (8, 8, 1))


@pytest.mark.parametrize(("overrides", "field", "layer"), [
    ({"condition__labels__discriminator": "projection"}, "discriminator__dcgan__spectral_norm", "projection"),
    ({"condition__labels__generator": "batch_norm"}, "generator__dcgan__spectral_norm", "batch_norm_0_gain"),
    ({"condition__labels__discriminator": "none", "regularizers__ac__weight": 1.0},
     "discriminator__dcgan__spectral_norm", "head_ac"),
    ({"condition__name": "codes", "regularizers__information__weight": 1.0},
     "discriminator__dcgan__spectral_norm", "head_information_hidden"),
])  # fmt: skip
def test_a_spectral_norm_pattern_may_match_the_layers_of_a_condition_alone(overrides, field, layer):
    labels = {"condition__name": "labels"}
    config = tiny_config(**{field: f"^{layer}$"} | labels | overrides)
    gan = experiment.make_gan(config, (8, 8, 1), classes=tuple(range(10)))
    network, inputs = (gan.generator, (8,)) if field.startswith("gen") else (gan.discriminator, (8, 8, 1))
    statistics = variable_shapes(network, inputs, gan.given_example)["batch_stats"]
    assert [name for name in statistics if name.startswith("spectral_")] == [f"spectral_{layer}"]
    with pytest.raises(UserError, match=f"{layer}.*'.' is all of them"):
        experiment.make_gan(
            tiny_config(**{field: "nothing"} | labels | overrides), (8, 8, 1), classes=tuple(range(10))
        )
    if field.startswith("dis"):
        with pytest.raises(UserError, match="matches none of"):
            experiment.make_gan(tiny_config(**{field: f"^{layer}$"}), (8, 8, 1))


def test_the_command_line_gives_several_names_as_one():
    config = tiny_config(augment__names=("flip,cutout",))
    checks.check(config)
    assert [*experiment.make_gan(config, (8, 8, 1)).augment] == ["flip", "cutout"]
    assert essential(config)["augment"]["names"] == ("flip", "cutout")


@pytest.mark.parametrize("penalty", ["wgan_gp", "dragan", "r1", "r2", "zero_centered"])
def test_batch_norm_under_a_gradient_penalty_is_refused(penalty):
    config = tiny_config(
        **{f"regularizers__{penalty}__weight": 1.0, "discriminator__dcgan__batch_norm": True}
    )
    with pytest.raises(UserError, match=f"regularizers.{penalty}.*set discriminator.dcgan.batch_norm=False"):
        experiment.make_gan(config, (8, 8, 1))
    config.discriminator.dcgan.batch_norm = False  # spectral norm also has statistics, but of weights
    experiment.make_gan(config, (8, 8, 1))


def test_transformations_of_images_are_refused_for_points():
    config = tiny_config(generator__name="mlp", discriminator__name="mlp", augment__names=("flip",))
    with pytest.raises(UserError, match=r"augment.names transform images, but an example has shape \(2,\)"):
        experiment.make_gan(config, (2,))


@pytest.mark.parametrize(("labels", "weights", "expected"), [
    ([0, 0, 0, 1], (), [2 / 3, 2]),  # all classes have the same total weight
    ([0, 0, 0, 1], (1.0, 3.0), [2 / 3, 2]),
    ([0, 1, 2, 2], (1.0, 1.0, 1.0), [1, 1, 1]),
])  # fmt: skip
def test_class_weights_have_a_mean_of_one_over_the_data(labels, weights, expected):
    found = experiment.class_weights(labels, weights)
    assert found.tolist() == pytest.approx(expected)
    assert found[labels].mean() == pytest.approx(1)


def test_there_must_be_one_class_weight_per_class():
    with pytest.raises(UserError, match="class_weights has 2 numbers, but the data set has 3 classes"):
        experiment.class_weights([0, 1, 2], (1.0, 2.0))


@pytest.mark.parametrize(
    ("cure", "told"),
    [
        ({}, True),
        ({"regularizers.wgan_gp.weight": 10.0}, False),
        ({"regularizers.clip.weight": 1.0}, False),
        ({"discriminator.dcgan.spectral_norm": "."}, False),
        ({"loss.name": "hinge"}, False),
    ],
)
def test_an_unbounded_critic_gives_a_warning(cure, told):
    config = default.get_config()
    config.update_from_flattened_dict({"loss.name": "wasserstein", **cure})
    cautions = checks.cautions(config)
    assert bool(cautions) == told
    assert all("regularizers.wgan_gp.weight" in text and len(text) < 300 for text in cautions)


@pytest.mark.parametrize(
    ("how", "name", "batch_norm", "instead"),
    [
        ("projection", "dcgan", True, "minibatch_discrimination=16"),
        ("projection", "dcgan", False, ""),
        ("joined", "dcgan", True, ""),
    ],
)
def test_projection_behind_batch_norm_gives_a_warning(how, name, batch_norm, instead):
    config = default.get_config()
    config.condition.name = "labels"
    config.condition.labels.discriminator = how
    config.discriminator.name = name
    config.discriminator[name].batch_norm = batch_norm
    cautions = checks.cautions(config)
    assert bool(cautions) == bool(instead)
    for text in cautions:
        assert f"{name}.batch_norm=False" in text and f"{name}.{instead}" in text and len(text) < 300


@pytest.mark.parametrize("size", [28, 0, (20, 28)])
def test_an_image_size_is_one_number_or_two(size):
    config = default.get_config()
    config.dataset.image_size = size
    checks.check(config)
    recorded = fields.plain(essential(config))
    assert recorded["dataset"]["image_size"] == fields.plain(size)
    config.update_from_flattened_dict({"dataset.image_size": size})
    for wrong in ((20,), (20, 0), (20.0, 28), "28", -1, True):
        config.dataset.image_size = wrong
        with pytest.raises(UserError, match="must be a whole number from 0 on, or \\(height, width\\)"):
            checks.check(config)


@pytest.mark.parametrize(
    ("weight", "shape", "changes", "said"),
    [
        (0.01, (32, 32, 3), {}, ""),  # StyleGAN2-ADA's own for CIFAR-10; the rule says .0002·1024/64 = .0032
        (10.0, (28, 28, 1), {}, "is 4.1e+03 times StyleGAN2-ADA's .0002·side²/batch_size = 0.0024 for 28x28"),
        (10.0, (512, 256, 3), {}, ""),  # .41
        (1e-5, (32, 32, 3), {}, "is 0.0031 times"),
        (10.0, (28, 28, 1), {"loss.name": "relativistic_pairing"}, ""),
        (10.0, (2,), {}, ""),
        (0.0, (28, 28, 1), {}, ""),
    ],
)
def test_a_weight_of_r1_far_from_the_rule_is_cautioned_against(weight, shape, changes, said):
    config = default.get_config()
    config.update_from_flattened_dict({"regularizers.r1.weight": weight, "batch_size": 64, **changes})
    caution = checks.caution_about_gamma(config, shape)
    assert said in caution and bool(said) == bool(caution) and len(caution) < 250
