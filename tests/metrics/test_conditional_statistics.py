import numpy as np
import pytest

from jaxgan.errors import UserError
from jaxgan.metrics.conditional import Labelled, class_accuracy, intra_class_distance
from jaxgan.metrics.frechet import frechet_distance


def sets():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    real = rng.normal(labels[:, None], 1, (60, 2))
    fake = rng.normal(labels[:, None], 1, (60, 2))
    fake[labels == 2] *= 0.1  # nearly equal
    return Labelled(real, labels), Labelled(fake, labels, np.where(np.arange(60) < 6, 0, labels))


def test_class_accuracy_is_the_share_of_recognized_labels():
    real, fake = sets()
    assert class_accuracy(real, fake) == {"class_accuracy": 56 / 60}
    with pytest.raises(UserError, match="needs a classifier"):
        class_accuracy(real, fake._replace(predicted=None))


def test_intra_class_distance_is_the_mean_over_classes():
    real, fake = sets()
    by_class = [
        frechet_distance(real.features[real.labels == k], fake.features[fake.labels == k])["frechet_distance"]
        for k in range(3)
    ]
    found = intra_class_distance(real, fake)
    assert found["intra_class_distance"] == pytest.approx(np.mean(by_class))
    assert found["intra_class_distance_worst"] == pytest.approx(by_class[2]) == pytest.approx(max(by_class))
    assert found["intra_class_fakes"] == 20


def test_only_the_intra_class_distance_detects_ignored_labels():
    """Fakes with permuted labels: the distance over all classes does not change."""
    real, _ = sets()
    fake = Labelled(real.features + 0.1, real.labels)
    shuffled = fake._replace(labels=(fake.labels + 1) % 3)
    whole = frechet_distance(real.features, fake.features)["frechet_distance"]
    found = intra_class_distance(real, shuffled)
    assert found["intra_class_distance"] > 50 * whole
    assert intra_class_distance(real, fake)["intra_class_distance"] == pytest.approx(whole)


def test_a_class_with_one_fake_is_refused():
    real, fake = sets()
    labels = np.where(fake.labels == 1, 0, fake.labels)
    labels[1] = 1
    with pytest.raises(UserError, match="class 1 has 20 real examples and 1 fakes"):
        intra_class_distance(real, fake._replace(labels=labels))
