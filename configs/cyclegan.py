"""CycleGAN on two sets of pictures without pairs: translation both ways (Zhu et al. 2017).

python launch.py --config=configs/cyclegan.py --config.dataset.path=FOLDER         for accelerators
python launch.py --config=configs/cyclegan.py:small --config.dataset.path=FOLDER    32×32, for two cores
python launch.py --config=configs/cyclegan.py:digits   16×16, the embedded digits and outlines; no network
python launch.py --config=configs/cyclegan.py:mnist    28×28, MNIST and outlines of other digits of it

FOLDER has trainA, trainB, testA and testB. Both ways are one game of pairs (a | b): the generator makes
(F(b) | G(a)), the discriminator judges both, and samples/ shows a, G(a), b and F(b). As published: least
squares, cycle term 10, identity term 5, a pool of 50 fakes, both generators before the discriminators, Adam
2e-4 with β1 .5, batches of 1. The adversarial weight is 2, because the loss here is half of the published,
and so its ratio to the cycle term is as published.

:digits and :mnist train on digits and on the outlines of other digits. The test digits are in both domains:
--mode=evaluate compares translations with their true images; --config.evaluation.direction=BtoA those back.
After the 1,500 steps of :digits, in two minutes of one core, 299 test images of one seed had a PSNR of
17.3 dB to outlines and 16.3 dB back (untranslated 9.9), and a classifier named .90 and .76 of them as their
originals (untranslated .56 and .50). Three seeds of :mnist had 15.4 and 15.2 dB (untranslated 9.8), and .96
and .89 (.86 and .79); a run takes 15 minutes of one core (jaxgan/benchmarks/README.md):
    python launch.py --config=configs/cyclegan.py:mnist --mode=sweep --sweep='seed=0:3' --population=off \\
    --config.evaluation.statistics.names='("frechet_distance","class_accuracy","psnr","ssim")' \\
    --config.evaluation.protocol=2500
"""

from configs import default, sr_mnist


def get_config(variant: str = ""):
    if variant not in ("", "small", "digits", "mnist"):
        raise ValueError(f"cyclegan has the variants small, digits and mnist, not '{variant}'")
    config = default.get_config()
    sr_mnist.set_game(config)
    config.condition.image.discriminator = "none"
    config.dataset.name = "unpaired"
    config.dataset.image_size = 256
    config.data_augment.names = ("flip",)
    config.task.name = "unpaired"
    config.num_steps = 200_000
    config.batch_size = 1
    config.update_order = "simultaneous"
    config.image_pool = 50
    config.loss.name = "least_squares"
    config.generator_loss_weight = 2.0
    config.regularizers.l1.weight = 0.0
    config.regularizers.cycle.weight = 10.0
    config.regularizers.identity.weight = 5.0
    config.schedule.name = "half_linear"
    config.generator.name = "resnet_translator"
    if variant:
        config.dataset.image_size = 32
        config.num_steps = 5_000
        config.batch_size = 4
        config.data_augment.names = ()
        config.generator.resnet_translator.width = 16
        config.generator.resnet_translator.blocks = 3
        config.generator.resnet_translator.padding = "zero"
        config.discriminator.patchgan.receptive_field = 34
        config.discriminator.patchgan.width = 16
    if variant in ("digits", "mnist"):
        config.dataset.name = "styled_digits"
        config.dataset.styled_digits.update({"digits": variant, "style": "outline", "form": "domains"})
        config.dataset.image_size = 16 if variant == "digits" else 28
        config.num_steps = 1_500 if variant == "digits" else 4_000
        config.batch_size = 8
        config.generator.resnet_translator.upsampling = "resize"
        config.discriminator.patchgan.receptive_field = 16
        sr_mnist.set_rates(config, *((1e-3, 5e-4) if variant == "digits" else (6e-4, 2e-4)))
    return config
