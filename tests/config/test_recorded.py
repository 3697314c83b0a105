"""The recorded config of a run is complete. Configs of other versions are detected."""

import json

import pytest

import jaxgan
from jaxgan.config.essential import component_defaults, essential
from jaxgan.config.fields import plain
from jaxgan.config.recorded import complete, get_config
from jaxgan.errors import UserError
from jaxgan.run.record import agree, read_record


def test_the_recorded_config_is_complete(trained):
    config = get_config(str(trained / "config.json"))
    assert plain(essential(config)) == read_record(trained)["config"]
    assert config.loss.hinge is not None and config.num_steps == 20  # also components that were not selected


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda config: config["loss"]["nonsaturating"].update(zap=3), "loss.nonsaturating.zap is not known"),
        (lambda config: config["generator"]["mlp"].update(zap=3), "generator.mlp.zap is not known"),
        (lambda config: config.pop("latent_dim"), "latent_dim is missing"),
    ],
)
def test_a_run_of_another_version_names_the_fields(tmp_path, trained, change, words):
    record = read_record(trained)
    change(record["config"])
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=words) as error:
        jaxgan.load(tmp_path)
    assert "another version" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UserError, match=words):
        get_config(str(tmp_path / "config.json"))


def test_a_run_from_before_a_field_of_a_component_has_its_default(tmp_path, trained):
    record = read_record(trained)
    whole = get_config(str(trained / "config.json"))
    for path in ("generator.mlp", "loss.nonsaturating", "generator_optimizer.adam"):
        section, name = path.split(".")
        fields, defaults = record["config"][section][name], component_defaults(whole)
        field = next(field for field in sorted(fields) if plain(fields[field]) == defaults[f"{path}.{field}"])
        del fields[field]
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert complete(record["config"])[1] == []
    assert get_config(str(tmp_path / "config.json")).to_dict() == whole.to_dict()
    assert agree(whole, record, tmp_path).to_dict() == whole.to_dict()
    del record["config"]["loss"]["nonsaturating"]
    with whole.unlocked():
        whole.loss.nonsaturating.real_label = 0.9  # not as it was then
    with pytest.raises(UserError, match=r"loss.nonsaturating.real_label \(was 1.0, now 0.9\)"):
        agree(whole, record, tmp_path)


def test_a_field_that_is_gone_may_be_recorded_with_the_value_that_changes_nothing(tmp_path, trained):
    whole, record = get_config(str(trained / "config.json")), read_record(trained)
    record["config"]["generator"]["r3gan"] = {"plain": False}
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert complete(record["config"])[1] == []
    assert get_config(str(tmp_path / "config.json")).to_dict() == whole.to_dict()
    record["config"]["generator"]["r3gan"]["plain"] = True
    assert complete(record["config"])[1] == ["generator.r3gan.plain is not known"]
