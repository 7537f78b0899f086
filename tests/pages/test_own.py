"""Networks and methods of one's own in the dashboard, from the files that $WFVIZ_PLUGINS names."""

import sys

import pytest

from tests.test_plugins import NETWORK, PLUGIN, UNTRAIN
from wfviz import backbones, plugins
from wfviz.cli import main
from wfviz.methods import registry
from wfviz.ui import frame


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """What is registered here, and that it was loaded, is gone after the test."""
    for room in (backbones, registry):
        monkeypatch.setattr(room, "_registry", dict(room._registry))
    monkeypatch.setattr(sys, "path", list(sys.path))
    frame._own.clear()
    yield
    frame._own.clear()


def test_a_network_of_ones_own_forgets(open_page, shown, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(NETWORK + PLUGIN)
    assert main([*UNTRAIN, "--plugin", str(file), "--out", str(tmp_path / "nets" / "made")]) == 0
    backbones._registry.pop("mine")
    registry._registry.pop("my_own")
    monkeypatch.setenv(plugins.VARIABLE, str(file))
    test = open_page(checkpoints=tmp_path / "nets", network="made", forget="3")
    assert not test.exception and not test.error and not test.warning and "mine" in backbones.names() and "my_own" in registry.names()
    assert "3" in test.title[0].value


def test_a_file_that_cannot_be_run_is_told(open_page, shown, tmp_path, monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path / "none.py"))
    for _ in range(2):  # the second time from memory
        test = open_page(forget="3")
        assert not test.exception and len(test.warning) == 1 and "WFVIZ_PLUGINS: there is no file" in shown(test)
        assert test.get("plotly_chart")
