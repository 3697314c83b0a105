"""The values of --sweep, the settings that they give, and which settings share a program."""

import random

import pytest
from runs import tiny_config

from jaxgan.errors import UserError
from jaxgan.sweeps.grammar import parse, split
from jaxgan.sweeps.plan import make_plan
from jaxgan.sweeps.structure import key_of

KINDS = {"seed": int, "lr": float, "loss.name": str, "hidden": tuple, "on": bool}


def values(text):
    return parse(text, KINDS.__getitem__).values


@pytest.mark.parametrize(("text", "expected"), [
    ("seed=0:4", [0, 1, 2, 3]),
    ("seed=5", [5]),
    ("seed=10:100:4", [10, 40, 70, 100]),
    ("seed=log(1:100:3)", [1, 10, 100]),
    ("config.lr=0.1,1,1e2", [0.1, 1.0, 100.0]),
    ("lr=0:1:3", [0.0, 0.5, 1.0]),
    ("lr=log(1e-4:1e-2:3)", [1e-4, 1e-3, 1e-2]),
    ("lr=0:1", None),
    ("loss.name=hinge, wasserstein", ["hinge", "wasserstein"]),
    ("hidden=(64,64),(128,)", [(64, 64), (128,)]),
    ("hidden=(flip,crop),()", [("flip", "crop"), ()]),
    ("hidden=(64),128", [(64,), (128,)]),
    ("on=True,false", [True, False]),
])  # fmt: skip
def test_values(text, expected):
    found = values(text)
    assert found == expected and (not found or {type(v) for v in found} == {type(v) for v in expected})


@pytest.mark.parametrize("text", [
    *("seed", "seed=", "=1", "seed=1.5", "seed=a", "lr=nan", "lr=1:0:3", "lr=log(0:1:3)", "lr=log(1:2:3"),
    *("on=maybe", "lr=1,1", "seed=0:5:0", "lr=1.2.3:4"),
])  # fmt: skip
def test_errors_name_the_wrong_part(text):
    with pytest.raises(UserError, match="--sweep"):
        values(text)


def test_a_sweep_may_switch_off_a_component_with_fields():
    """Such fields return to their defaults if they have no effect."""
    plain = tiny_config()
    penalized = {
        "regularizers__r1__interval": 16,
        "regularizers__r1__weight": 1.0,
        "discriminator__dcgan__batch_norm": False,
    }
    base = tiny_config(**penalized, lookahead_every=5, lookahead_alpha=0.7)
    plan = make_plan(base, ["regularizers.r1.weight=0,1", "lookahead_every=0,5"])
    off, on = plan.runs[0].config, plan.runs[-1].config
    assert (on.regularizers.r1.interval, on.lookahead_alpha) == (16, 0.7)
    assert off.regularizers == plain.regularizers and off.lookahead_alpha == plain.lookahead_alpha
    chain = tiny_config(
        instance_noise__stddev=0.3, instance_noise__schedule__name="linear",
        instance_noise__schedule__linear__final=0.1, eval_every=5, evaluation__best="x",
        evaluation__best_is="highest", loss__name="least_squares", loss__least_squares__a=-1.0,
    )  # fmt: skip
    plan = make_plan(
        chain, ["instance_noise.stddev=0,0.3", "eval_every=0,5", "loss.name=hinge,least_squares"]
    )
    off, on = plan.runs[0].config, plan.runs[-1].config
    assert on.instance_noise.schedule.linear.final == 0.1 and on.evaluation.best_is == "highest"
    assert off.instance_noise.schedule == plain.instance_noise.schedule and off.evaluation == plain.evaluation
    assert (off.loss.least_squares.a, on.loss.least_squares.a) == (plain.loss.least_squares.a, -1.0)
    shared = tiny_config(**penalized | {"regularizers__r2__weight": 1.0})
    shared.regularizers.r2.interval = shared.regularizers.r1.get_ref("interval")
    plan = make_plan(shared, ["regularizers.r1.weight=0,1"])
    assert [run.config.regularizers.r2.interval for run in plan.runs] == [16, 16]
    maxout = tiny_config(discriminator__name="mlp", generator__name="mlp", discriminator__mlp__slope=0.1)
    with pytest.raises(UserError, match=r"slope is set, but .*maxout is 5.* or discriminator.mlp.slope=0.2"):
        make_plan(maxout, ["discriminator.mlp.slope=0.1,0.3", "discriminator.mlp.maxout=5"])
    maxout.discriminator.mlp.maxout = 5
    (run,) = make_plan(maxout, overrides=["discriminator.mlp.maxout"]).runs
    assert run.config.discriminator.mlp.slope == 0.2
    with pytest.raises(UserError, match="lookahead_alpha is set, but lookahead_every is 0"):
        make_plan(base, ["lookahead_every=0,5", "lookahead_alpha=0.5,0.7"])
    consistent = tiny_config(
        regularizers__cr__weight=1.0, consistency_augment__names=("flip",),
        discriminator__dcgan__batch_norm=False,
    )  # fmt: skip
    plan = make_plan(consistent, ["regularizers.cr.weight=0,10"])
    assert [tuple(run.config.consistency_augment.names) for run in plan.runs] == [(), ("flip",)]


def test_draws_are_within_their_range():
    source = random.Random(0)
    for text, low, high, kind in (
        ("seed=2:4", 2, 3, int),
        ("lr=log(1e-5:1e-1)", 1e-5, 0.1, float),
        ("lr=-1:1", -1, 1, float),
    ):
        axis = parse(text, KINDS.__getitem__)
        drawn = [axis.draw(source) for _ in range(50)]
        assert all(low <= value <= high and type(value) is kind for value in drawn) and len(set(drawn)) > 1


def test_split_does_not_split_brackets():
    assert split("(1,2),3,[4,(5,6)]") == ["(1,2)", "3", "[4,(5,6)]"]


def ring(**overrides):
    fields = {
        "dataset__name": "ring",
        "dataset__image_size": 0,
        "generator__name": "mlp",
        "discriminator__name": "mlp",
        "generator__mlp__hidden": (8,),
        "discriminator__mlp__hidden": (8,),
    }
    return tiny_config(**{**fields, **overrides})


def plan(*sweeps, config=None, **kwargs):
    return make_plan(config or ring(), sweeps, **kwargs)


def test_a_grid_and_its_programs():
    made = plan("loss.name=nonsaturating,hinge", "regularizers.r1.weight=0,0.1,1", "seed=0:2")
    assert len(made.runs) == 12 and len({run.name for run in made.runs}) == 12
    # a weight of 0 is absent from the program; another loss needs another program
    assert sorted(map(len, made.programs)) == [2, 2, 4, 4]
    run = made.runs[made.programs[-1][-1]]
    assert run.values == {"loss.name": "hinge", "regularizers.r1.weight": 1.0}
    assert run.config.loss.name == "hinge" and run.config.seed == 1
    assert run.setting == "loss.name=hinge, regularizers.r1.weight=1"
    assert run.name == "loss.name=hinge_regularizers.r1.weight=1-seed=1"


@pytest.mark.parametrize(("sweep", "programs"), [
    ("generator_optimizer.adam.b1=0,0.5,0.9", 1),
    ("discriminator_optimizer.adam.learning_rate=log(1e-4:1e-2:4)", 1),
    ("ema_decay=0,0.9", 1),
    ("loss.nonsaturating.real_label=0.9,1", 1),
    ("instance_noise.stddev=0.1,0.2", 1),
    ("label_flip=0.1,0.2", 1),
    ("top_k=4,8", 1),
    ("schedule.constant.warmup_steps=1,2", 1),
    ("generator_clip_norm=0,1,2", 2),
    ("label_flip=0,0.2", 2),
    ("packing=1,2", 2),
    ("batch_size=16,32", 2),
    ("num_steps=50,60", 2),
    ("dataset.ring.seed=0,1", 2),
    ("generator.mlp.hidden=(8,),(4,)", 2),
    ("generator.mlp.activation=relu,tanh", 2),
    ("generator_optimizer.name=adam,lion", 2),
    ("latent=normal,uniform", 2),
    ("evaluation.seed=0,1", 2),
    ("seed=0:5", 1),
])  # fmt: skip
def test_numbers_of_the_state_share_a_program(sweep, programs):
    config = ring()
    for network in (
        "generator",
        "discriminator",
    ):  # changed fields of this optimizer would forbid another one
        if sweep.startswith("generator_optimizer.name"):
            config[f"{network}_optimizer"].adam.learning_rate = 2e-4
    assert len(plan(sweep, config=config).programs) == programs


def test_runs_with_other_data_need_another_program():
    """Also if labels give numbers of the state."""
    made = plan("dataset.ring.seed=0,1", "ema_decay=0,0.9", config=ring(class_balance="weights"))
    assert sorted(map(len, made.programs)) == [2, 2]
    assert len({made.runs[i].values["dataset.ring.seed"] for i in made.programs[0]}) == 1


def test_draws_differ():
    made = plan("loss.name=hinge,minimax", "packing=1,2", combine="random", draws=4)
    assert len({run.setting for run in made.runs}) == 4


def test_a_field_of_a_named_setting_may_be_swept():
    made = plan("packing=2,4", settings={"Pac": {"packing": 2, "label_flip": 0.1}})
    assert [(run.setting, run.config.packing) for run in made.runs] == [
        ("Pac, packing=2", 2),
        ("Pac, packing=4", 4),
    ]


def test_zip_draws_and_names():
    made = plan("packing=1,2", "label_flip=0,0.1", combine="zip")
    assert [run.values for run in made.runs] == [
        {"packing": 1, "label_flip": 0.0},
        {"packing": 2, "label_flip": 0.1},
    ]
    sweeps = "ema_decay=0:0.9", "label_flip=log(1e-3:0.1)"
    drawn = plan(*sweeps, "seed=0:2", combine="random", draws=5)
    assert len(drawn.runs) == 10 and len(drawn.programs) == 1
    assert [run.values for run in drawn.runs] == [
        run.values for run in plan(*sweeps, "seed=0:2", combine="random", draws=5).runs
    ]
    named = plan("seed=0:2", settings={"GAN": {}, "PacGAN2": {"packing": 2}})
    assert [run.setting for run in named.runs] == ["GAN", "GAN", "PacGAN2", "PacGAN2"]
    assert named.runs[-1].config.packing == 2 and named.runs[-1].name == "PacGAN2-seed=1"


@pytest.mark.parametrize(("sweeps", "kwargs", "message"), [
    (("los.name=hinge",), {}, "no field 'los.name'"),
    (("loss=hinge",), {}, "loss.name"),
    (("loss.name=hing",), {}, "hinge"),
    (("ema_decay=2",), {}, "setting 'ema_decay=2'"),
    (("ema_decay=0,0.1", "ema_decay=0.2"), {}, "twice"),
    (("ema_decay=0:0.9",), {}, "how many"),
    (("ema_decay=0,0.5", "packing=1"), {"combine": "zip"}, "packing has 1"),
    (("ema_decay=0,0.5",), {"combine": "random"}, "--draws"),
    (("augment.names=flip",), {}, "setting .* images"),
    ((), {"settings": {"Pac": {"packng": 2}}}, "the setting Pac: .* no field 'packng'"),
    (("packing=1,2",), {"combine": "random", "draws": 3}, "about 2 combinations"),
])  # fmt: skip
def test_impossible_sweeps_are_refused(sweeps, kwargs, message):
    with pytest.raises(UserError, match=message):
        plan(*sweeps, **kwargs)


def test_a_config_with_named_settings_plans():
    from configs import pacgan

    config = pacgan.get_config()
    config.dataset.ring.num_points = 1_000
    made = make_plan(config, ["seed=0:10"], settings=pacgan.SETTINGS)
    assert [len(program) for program in made.programs] == [10] * 5
    assert {run.setting for run in made.runs} == pacgan.SETTINGS.keys()
    assert made.runs[0].name == "GAN-seed=0"


def test_keys_of_python_objects():
    def make(x):
        return lambda y: x + y

    assert key_of(make(1)) == key_of(make(1)) != key_of(make(2))
    assert key_of({"a": (1, 2.0)}) == key_of({"a": (1, 2.0)}) != key_of({"a": (1, 2)})
    assert key_of(0.0) != key_of(-0.0)

    def endless():
        return endless

    assert key_of(endless) == key_of(endless)
    thing = object()
    assert key_of(thing) == key_of(thing) != key_of(object())
