"""A page opened without a browser, on the shipped networks."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("forget", "filters", "before_after")


@pytest.fixture
def open_page(monkeypatch):
    """`open_page("filters", forget="3")`: the page as a link with these parameters shows it."""

    def run(page: str = "forget", checkpoints: Path = ROOT / "checkpoints", **link: str) -> AppTest:
        monkeypatch.setenv("WFVIZ_CHECKPOINTS", str(checkpoints))
        test = AppTest.from_file(str(ROOT / "wfviz" / "ui" / "main.py"), default_timeout=60)
        test.switch_page(f"../../pages/{page}.py")
        for name, value in {"network": "digits-cnn", **link}.items():
            test.query_params[name] = value
        return test.run()

    return run


@pytest.fixture
def shown():
    """Everything a page says in text, without Markdown's backslashes and with ordinary spaces."""

    def text(test: AppTest) -> str:
        kinds = (test.title, test.subheader, test.markdown, test.caption, test.warning, test.error, test.info)
        return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "").replace("\u00a0", " ")

    return text


def widget(test: AppTest, kind: str, key: str):
    """The widget with this key."""
    return next(w for w in test.get(kind) if w.key == key)
