import pytest

from jaxgan.run.health import diagnose

HEALTHY = {"diversity": 0.9, "accuracy_real": 0.8, "accuracy_fake": 0.7, "generator_grad_norm": 0.123}


def found(classifies=True, **changes):
    return set(diagnose({**HEALTHY, **changes}, classifies=classifies))


def test_a_healthy_run_has_no_symptoms():
    assert found() == set()
    assert found(diversity=3.0) == set()
    assert found(accuracy_real=0.0, accuracy_fake=0.0) == set()


@pytest.mark.parametrize(
    ("diversity", "symptoms"), [(0.0, {"collapse"}), (0.199, {"collapse"}), (0.2, set())]
)
def test_collapse_below_a_fifth_of_the_data_s_diversity(diversity, symptoms):
    assert found(diversity=diversity) == found(diversity=diversity, classifies=False) == symptoms


@pytest.mark.parametrize(
    ("real", "fake", "symptoms"),
    [
        (1.0, 1.0, {"saturation"}),
        (0.996, 0.9951, {"saturation"}),
        (0.995, 1.0, set()),
        (1.0, 0.995, set()),
        (1.0, 0.5, set()),
        (0.5, 1.0, set()),
    ],
)
def test_saturation_if_both_accuracies_are_near_one(real, fake, symptoms):
    assert found(accuracy_real=real, accuracy_fake=fake) == symptoms


def test_a_critic_may_separate_real_and_fake():
    assert found(classifies=False, accuracy_real=1.0, accuracy_fake=1.0) == set()


def test_two_symptoms_give_one_line_each_with_numbers():
    symptoms = diagnose(
        {**HEALTHY, "diversity": 0.07, "accuracy_real": 1.0, "accuracy_fake": 1.0}, classifies=True
    )
    assert set(symptoms) == {"collapse", "saturation"}
    assert "7%" in symptoms["collapse"] and "0.12" in symptoms["saturation"]
    assert all("\n" not in sentence and "try" in sentence for sentence in symptoms.values())
