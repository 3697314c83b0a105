"""Published recipes by name, with their papers. Each is a few overrides of any other config.

python launch.py --config=configs/recipes.py:wgan_gp                         on configs/dcgan_mnist.py
python launch.py --config=configs/recipes.py:wgan_gp,gan_ring                on another config
python launch.py --config=configs/recipes.py:wgan_gp,dcgan_mnist,full        on a variant of one

A recipe sets losses, penalties and optimizers. It does not change the sizes of the networks or the number of
steps. RECIPES below lists all recipes.
"""

import difflib
import importlib
from pathlib import Path

from jaxgan.config.fields import SECTIONS, component

# Karras et al. 2020, Training Generative Adversarial Networks with Limited Data, appendix B.
BLITTING = ("flip", "quarter_turns", "integer_translation")
GEOMETRY = ("isotropic_scale", "pre_rotation", "anisotropic_scale", "post_rotation", "fractional_translation")
COLOUR = ("brightness", "contrast", "luma_flip", "hue", "saturation")


def _without_batch_norm(config):
    """For the discriminator: with batch norm a logit depends on the whole batch."""
    network = config.discriminator[config.discriminator.name]
    if "batch_norm" in network:
        network.batch_norm = False


def _spectral_norm(config):
    """In every layer of the discriminator, in place of batch norm."""
    _without_batch_norm(config)
    config.discriminator[config.discriminator.name].spectral_norm = "."


def _optimizers(config, name):
    """The optimizer of both networks, with its own defaults."""
    for section in ("generator_optimizer", "discriminator_optimizer"):
        config[section] = component(SECTIONS[section], name)


def _adam(config, learning_rate, b1, b2, ratio=1):
    """For both networks; the discriminator's learning rate is `ratio` times the generator's."""
    _optimizers(config, "adam")
    for network, factor in (("generator", 1), ("discriminator", ratio)):
        adam = config[f"{network}_optimizer"].adam
        adam.update({"learning_rate": factor * learning_rate, "b1": b1, "b2": b2})


def minimax(config):
    """Goodfellow et al. 2014, Generative Adversarial Nets: the minimax loss."""
    config.loss.name = "minimax"


def nonsaturating(config):
    """Goodfellow et al. 2014, section 3: the non-saturating loss of the generator."""
    config.loss.name = "nonsaturating"


def lsgan(config):
    """Mao et al. 2017, Least Squares Generative Adversarial Networks."""
    config.loss.name = "least_squares"


def fgan_kl(config):
    """Nowozin et al. 2016, f-GAN: the Kullback-Leibler divergence."""
    config.loss.name = "kl"
    config.discriminator_clip_norm = 1.0  # the discriminator's loss grows exponentially


def fgan_pearson(config):
    """Nowozin et al. 2016, f-GAN: the Pearson χ² divergence."""
    config.loss.name = "pearson"


def fgan_js(config):
    """Nowozin et al. 2016, f-GAN: the Jensen-Shannon divergence."""
    config.loss.name = "jensen_shannon"


def wgan(config):
    """Arjovsky et al. 2017, Wasserstein GAN, algorithm 1."""
    config.loss.name = "wasserstein"
    config.regularizers.clip.weight = 1.0
    config.discriminator_steps = 5
    _optimizers(config, "rmsprop")
    for section in ("generator_optimizer", "discriminator_optimizer"):
        config[section].rmsprop.decay = 0.99  # PyTorch's default, which the authors' code uses


def wgan_gp(config):
    """Gulrajani et al. 2017, Improved Training of Wasserstein GANs, algorithm 1."""
    config.loss.name = "wasserstein"
    config.regularizers.wgan_gp.weight = 10.0
    config.discriminator_steps = 5
    _without_batch_norm(config)
    _adam(config, 1e-4, 0.0, 0.9)


def wgan_lp(config):
    """Petzka et al. 2018, On the regularization of Wasserstein GANs: only slopes above 1 are penalized."""
    wgan_gp(config)
    config.regularizers.wgan_gp.one_sided = True


def progan(config):
    """Karras et al. 2018, Progressive Growing of GANs, appendix A: WGAN-GP, drift, minibatch deviation.

    The learning rate is a tenth of theirs: there is no equalized learning rate here.
    """
    wgan_gp(config)
    config.discriminator_steps = 1
    config.regularizers.drift.weight = 1e-3
    config.discriminator[config.discriminator.name].minibatch_stddev = 4
    _adam(config, 1e-4, 0.0, 0.99)


def dragan(config):
    """Kodali et al. 2017, On Convergence and Stability of GANs."""
    config.loss.name = "nonsaturating"
    config.regularizers.dragan.weight = 10.0
    _without_batch_norm(config)


def r1(config):
    """Mescheder et al. 2018, Which Training Methods for GANs do actually Converge?, γ = 10."""
    config.loss.name = "nonsaturating"
    config.regularizers.r1.weight = 10.0
    _without_batch_norm(config)


def stylegan2(config):
    """Karras et al. 2020, StyleGAN2, section 3.1 and appendix B: lazy R1, minibatch deviation.

    The learning rate is a tenth of theirs: there is no equalized learning rate here. Their correction of
    Adam's rate and betas for the lazy penalty is not applied.
    """
    r1(config)
    config.regularizers.r1.interval = 16
    config.discriminator[config.discriminator.name].minibatch_stddev = 4
    _adam(config, 2e-4, 0.0, 0.99)


def zero_centered(config):
    """Thanh-Tung et al. 2019, Improving Generalization and Stability of GANs."""
    config.loss.name = "nonsaturating"
    config.regularizers.zero_centered.weight = 10.0
    _without_batch_norm(config)


def sngan(config):
    """Miyato et al. 2018, Spectral Normalization for GANs, section 4: setting C of their table 1."""
    config.loss.name = "nonsaturating"
    _spectral_norm(config)
    _adam(config, 2e-4, 0.5, 0.999)


def hinge_sn(config):
    """Lim and Ye 2017, Geometric GAN; Miyato et al. 2018, with spectral norm."""
    config.loss.name = "hinge"
    _spectral_norm(config)
    _adam(config, 2e-4, 0.5, 0.999)


def ttur(config):
    """Heusel et al. 2017, Two Time-Scale Update Rule; the rates are those of Zhang et al. 2019 (SAGAN)."""
    hinge_sn(config)
    _adam(config, 1e-4, 0.0, 0.9, ratio=4)


def ragan(config):
    """Jolicoeur-Martineau 2018, The relativistic discriminator: the relativistic average logistic loss."""
    config.loss.name = "relativistic_average"
    _spectral_norm(config)


def ralsgan(config):
    """Jolicoeur-Martineau 2018: relativistic average least squares."""
    config.loss.name = "relativistic_average_least_squares"
    _spectral_norm(config)


def rahinge(config):
    """Jolicoeur-Martineau 2018: relativistic average hinge."""
    config.loss.name = "relativistic_average_hinge"
    _spectral_norm(config)


def rpgan_r1r2(config):
    """Huang et al. 2024, The GAN is dead; long live the GAN! (R3GAN): R1 and R2 in every update."""
    config.loss.name = "relativistic_pairing"
    config.regularizers.r1.weight = 1.0
    config.regularizers.r2.weight = 1.0
    _without_batch_norm(config)
    _adam(config, 2e-4, 0.0, 0.99)


def rpgan_r1r2_lazy(config):
    """The same with penalties in every 16th update only, which fails according to Huang et al. 2024."""
    rpgan_r1r2(config)
    config.regularizers.r1.interval = 16
    config.regularizers.r2.interval = 16


def pacgan(config):
    """Lin et al. 2018, PacGAN: the discriminator judges pairs."""
    config.packing = 2


def unrolled(config):
    """Metz et al. 2017, Unrolled Generative Adversarial Networks: five steps ahead, in the minimax game.

    As in the authors' code, both networks are updated at once, from the same discriminator.
    """
    config.loss.name = "minimax"
    config.update_order = "simultaneous"
    config.unrolled_steps = 5
    optimizer = config.discriminator_optimizer
    if "eps_root" in optimizer[optimizer.name]:
        optimizer[optimizer.name].eps_root = 1e-16


def madgan(config):
    """Ghosh et al. 2018, Multi-Agent Diverse GANs: four generators, a discriminator of five classes."""
    config.num_generators = 4


def improved(config):
    """Salimans et al. 2016, Improved Techniques for Training GANs, sections 3.1 to 3.4."""
    config.loss.name = "nonsaturating"
    _without_batch_norm(config)  # batch norm alone would make the means of the features equal
    config.loss.nonsaturating.real_label = 0.9
    config.regularizers.feature_matching.weight = 1.0
    config.regularizers.historical_averaging.weight = 1e-3
    config.discriminator[config.discriminator.name].minibatch_discrimination = 16


def feature_matching(config):
    """Salimans et al. 2016, section 3.1: feature matching in place of the adversarial loss."""
    _without_batch_norm(config)  # batch norm alone would make the means of the features equal
    config.generator_loss_weight = 0.0
    config.regularizers.feature_matching.weight = 1.0


def top_k(config):
    """Sinha et al. 2020, Top-k Training of GANs: down to the better half, in half of the config's steps.

    An override of the batch size also changes the half. With another num_steps set top_k_steps, too.
    """
    config.top_k = config.get_ref("batch_size") // config.get_ref("packing") // 2
    config.top_k_steps = config.num_steps // 2


def lookahead(config):
    """Chavdarova et al. 2021, Taming GANs with Lookahead-Minmax."""
    config.lookahead_every = 5


def optimistic(config):
    """Daskalakis et al. 2018, Training GANs with Optimism: WGAN-GP with optimistic Adam."""
    wgan_gp(config)
    config.discriminator_steps = 1
    _optimizers(config, "optimistic_adam")
    for optimizer in (config.generator_optimizer, config.discriminator_optimizer):
        optimizer.optimistic_adam.update({"learning_rate": 1e-4, "b1": 0.5, "b2": 0.9})


def instance_noise(config):
    """Sønderby et al. 2017, Amortised MAP Inference; Arjovsky and Bottou 2017: decaying noise."""
    config.instance_noise.stddev = 0.3
    config.instance_noise.schedule.name = "linear"


def diffaugment(config):
    """Zhao et al. 2020, Differentiable Augmentation for Data-Efficient GAN Training."""
    hinge_sn(config)
    config.augment.names = ("color", "translation", "cutout")


def ada(config):
    """Karras et al. 2020, Training Generative Adversarial Networks with Limited Data.

    The transformations of appendix B that the authors found best: pixel blitting, geometry, colour.
    """
    r1(config)
    config.augment.names = BLITTING + GEOMETRY + COLOUR
    config.augment.adaptive = True
    config.augment.probability = 0.0


def lecam(config):
    """Tseng et al. 2021, Regularizing Generative Adversarial Networks under Limited Data."""
    hinge_sn(config)
    config.regularizers.lecam.weight = 0.3  # the authors' script for hinge GANs at 32 pixels


def cr(config):
    """Zhang et al. 2020, Consistency Regularization for GANs."""
    hinge_sn(config)
    config.regularizers.cr.weight = 10.0
    config.consistency_augment.names = ("flip", "crop")


def icr(config):
    """Zhao et al. 2021, Improved Consistency Regularization for GANs: bCR and zCR."""
    hinge_sn(config)
    config.regularizers.bcr.weight = 10.0
    config.regularizers.zcr.weight = 5.0
    config.consistency_augment.names = ("flip", "crop")


def orthogonal(config):
    """Brock et al. 2019, BigGAN, sections 3.1 and 3.2: orthogonal regularization for truncated latents."""
    hinge_sn(config)
    config.regularizers.orthogonal.weight = 1e-4
    config.regularizers.orthogonal.networks = "generator"


def cgan(config):
    """Mirza and Osindero 2014, Conditional Generative Adversarial Nets: labels joined to the inputs."""
    config.condition.name = "labels"


def _of_heads(config):
    """Labels for the generator's batch norms and for heads of the discriminator.

    Adversarial loss, normalization, learning rates and steps stay the config's. StudioGAN has the hinge loss,
    spectral norm, Adam of 2e-4 and five discriminator steps for all these methods, with residual networks.
    """
    config.condition.name = "labels"
    config.condition.labels.discriminator = "none"
    generator = config.generator[config.generator.name]
    if "batch_norm" in generator:
        generator.batch_norm = True
        config.condition.labels.generator = "batch_norm"


def _minibatch_discrimination(config):
    """In the discriminator, if it has it, in place of batch norm.

    For methods that judge fakes by class. With batch norm these collapse on dcgan_mnist; with neither, its
    generator makes one image a class.
    """
    _without_batch_norm(config)
    discriminator = config.discriminator[config.discriminator.name]
    if "minibatch_discrimination" in discriminator:
        discriminator.minibatch_discrimination = 16


def acgan(config):
    """Odena et al. 2017, Auxiliary Classifier GANs, as published: the discriminator classifies fakes, too."""
    config.loss.name = "nonsaturating"
    config.condition.name = "labels"
    config.condition.labels.discriminator = "none"
    config.regularizers.ac.weight = 1.0
    config.regularizers.ac.fakes = True


def sngan_projection(config):
    """Miyato and Koyama 2018, cGANs with Projection Discriminator, section 3, with spectral norm.

    Learning rates and steps stay the config's. With the paper's, for residual networks, the discriminator of
    dcgan_mnist wins.
    """
    _of_heads(config)
    _minibatch_discrimination(config)
    _spectral_norm(config)
    config.loss.name = "hinge"
    config.condition.labels.discriminator = "projection"


def mhgan(config):
    """Kavalerov et al. 2021, A Multi-Class Hinge Loss for Conditional GANs; weights as in StudioGAN."""
    _of_heads(config)
    config.regularizers.multi_hinge.weight = 1.0
    config.regularizers.feature_matching_l1.weight = 1.0


def contragan(config):
    """Kang and Park 2020, ContraGAN: the conditional contrastive loss, 2C."""
    _of_heads(config)
    config.regularizers.contrastive.weight = 1.0


def reacgan(config):
    """Kang et al. 2021, Rebooting ACGAN (ReACGAN): the data-to-data cross entropy."""
    _of_heads(config)
    config.regularizers.d2d_ce.weight = 0.5


def tacgan(config):
    """Gong et al. 2019, Twin Auxiliary Classifiers GAN."""
    _of_heads(config)
    _minibatch_discrimination(config)
    config.regularizers.ac.weight = 1.0
    config.regularizers.tac.weight = 1.0


def adcgan(config):
    """Hou et al. 2022, Conditional GANs with Auxiliary Discriminative Classifier."""
    _of_heads(config)
    _minibatch_discrimination(config)
    config.regularizers.adc.weight = 1.0


def infogan(config):
    """Chen et al. 2016, InfoGAN: one categorical code, two continuous ones; learning rates of its code."""
    config.loss.name = "nonsaturating"
    config.condition.name = "codes"
    config.regularizers.information.weight = 1.0
    _adam(config, 1e-3, 0.5, 0.999, ratio=0.2)


RECIPES = {
    recipe.__name__: recipe
    for recipe in (
        minimax, nonsaturating, lsgan, fgan_kl, fgan_pearson, fgan_js, wgan, wgan_gp, wgan_lp, progan, dragan,
        r1, stylegan2, zero_centered, sngan, hinge_sn, ttur, ragan, ralsgan, rahinge, rpgan_r1r2,
        rpgan_r1r2_lazy,
        pacgan, unrolled, madgan, improved, feature_matching, top_k, lookahead, optimistic, instance_noise,
        diffaugment, ada, lecam, cr, icr, orthogonal,
        cgan, acgan, sngan_projection, mhgan, contragan, reacgan, tacgan, adcgan, infogan,
    )
}  # fmt: skip


def get_config(name: str = "nonsaturating"):
    """`recipe`, `recipe,config` or `recipe,config,variant`."""
    recipe, base, *variant = *name.split(","), *(["dcgan_mnist"] if "," not in name else [])
    if recipe not in RECIPES:
        found = difflib.get_close_matches(recipe.lower(), RECIPES, cutoff=0.5)
        some = ", ".join(found or ("wgan_gp", "rpgan_r1r2", "acgan"))
        raise ValueError(f"configs/recipes.py has {some} and others (see its end), not '{recipe}'")
    if not (Path(__file__).parent / f"{base}.py").is_file():
        raise ValueError(f"configs/ has no {base}.py: give recipe,config or recipe,config,variant")
    config = importlib.import_module(f"configs.{base}").get_config(*variant)
    RECIPES[recipe](config)
    return config
