"""Text on its way to the page."""

import re

from wfviz.errors import WfvizError

COMMAND = "`python -m wfviz"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|[kMG]?B|ms|s|min|h)(?!\w))")


def plain(text: str) -> str:
    """Text from outside (class names, file names) with Markdown's signs made harmless; a number and its unit stay on one line."""
    return together(re.sub(r"([\\`*_\[\]<>$~|#]|:(?=\w))", r"\\\1", text))


def together(text: str) -> str:
    """Text in which no line breaks between a number and its unit."""
    return _BEFORE_UNIT.sub("\u00a0", text)


def sentence(error: WfvizError) -> str:
    """An error as a sentence with a capital and a full stop, fit for Markdown; commands in it stay code."""
    text = str(error)
    text = text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")
    return "".join(part if part.startswith(COMMAND) and part.endswith("`") else plain(part) for part in re.split(rf"({COMMAND} [^`]*`)", text))


def shortened(text: str, most: int = 40) -> str:
    """At most `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
