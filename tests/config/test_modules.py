"""User modules: messages of failed imports."""

import pytest

from configs import default
from jaxgan.config import fields
from jaxgan.errors import UserError


def error_of(module):
    config = default.get_config()
    config.modules = (module,)
    with pytest.raises(UserError) as caught:
        fields.import_modules(config)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    return str(caught.value)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("x = 1\nimport absent_thing", "failing_0.py:2: ModuleNotFoundError: No module named 'absent_thing'"),
        ("x = 1\n\n1 / 0", "failing_1.py:3: ZeroDivisionError"),
        ("x = (", "failing_2.py:1: SyntaxError"),
    ],
)
def test_a_failing_import_shows_its_own_error(tmp_path, monkeypatch, source, expected):
    name = expected.partition(".")[0]
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert expected in error_of(name) and "PYTHONPATH" not in error_of(name)


def test_a_missing_module_gives_a_hint_to_the_path():
    assert "PYTHONPATH" in error_of("nowhere_at_all") and "PYTHONPATH" in error_of("nowhere_at_all.inner")
