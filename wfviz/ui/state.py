"""What is being looked at: the network, the forgotten classes and the split. All of it lives in the link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from wfviz.errors import nearest
from wfviz.figures.sentences import named
from wfviz.ui.cached import Network
from wfviz.ui.words import plain, shortened

LINKS = "_wfviz_links"  # title -> page, for links from one page to another; `main` sets it
_KEY, _NOTICES, _SHOWN = "_wfviz_state", "_wfviz_notices", "_wfviz_shown"


@dataclass(frozen=True)
class State:
    """One look at a network. `forget` is a class index or None; `also` are further forgotten classes."""

    network: Network
    forget: int | None
    split: str
    also: tuple[int, ...] = ()

    @property
    def forgotten(self) -> str | None:
        """The name of the forgotten class."""
        return None if self.forget is None else self.network.classes[self.forget]

    @property
    def together(self) -> tuple[int, ...]:
        """All forgotten classes, the first one first; empty where nothing is forgotten."""
        return () if self.forget is None else (self.forget, *self.also)

    @property
    def told(self) -> int | tuple[int, ...] | None:
        """What the network is told to forget: several classes in one order, in whatever order they were chosen."""
        return tuple(sorted(self.together)) if self.also else self.forget

    @property
    def names(self) -> str:
        """All forgotten classes in a sentence: `cat and dog`; empty where nothing is forgotten."""
        return named(self.network.classes, self.together)


def remember(state: State) -> None:
    """Make `state` the one of this run; the frame does so before the page runs."""
    st.session_state[_KEY] = state


def current() -> State:
    """The state the frame has set for this run."""
    return st.session_state[_KEY]


def nothing_for(classes: Sequence[str]) -> str:
    """The name of the choice to forget nothing: `none`, unless a class is called so."""
    return "none" if "none" not in classes else "(none)"


def check_link(key: str, known: Sequence[str], what: str, instead: str | None = None) -> None:
    """Refuse a link that asks for something unknown. Call it before the widget that is bound to `key`."""
    asked = _asked(key)
    if asked is not None and asked not in known:
        tail = f" Showing {instead} instead." if instead else ""
        _refuse(key, f"The link asks for an {_ended(nearest(shortened(asked), known, what))}{tail}")


def check_number(key: str, least: int, most: int, what: str) -> None:
    """The same for a whole number between `least` and `most`."""
    asked = _asked(key)
    try:
        fine = asked is None or (least <= float(asked) <= most and float(asked).is_integer())
    except ValueError:
        fine = False
    if not fine:
        _refuse(key, f"The link asks for {what} {shortened(asked)!r}; it is a whole number from {least} to {most}.")


def check_several(key: str, known: Sequence[str], what: str) -> None:
    """The same for a link that may ask for several; those that are known stay. `known` is empty where there is no first."""
    if key in st.session_state or key not in st.query_params:
        return
    asked = st.query_params.get_all(key)
    if not known:
        _refuse(key, f"The link asks for a {what}, but for no first one. Left out.")
    unknown = [name for name in asked if name not in known]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        notice = f"The link asks for an {_ended(nearest(shortened(unknown[0]), known, what) + more)} Left out."
        _refuse(key, notice, [name for name in asked if name in known])


def _ended(text: str) -> str:
    return text if text.endswith("?") else text + "."


def show_notices() -> None:
    """What was wrong with the link, once."""
    st.session_state[_SHOWN] = st.session_state.pop(_NOTICES, ())
    for notice in st.session_state[_SHOWN]:
        st.warning(plain(notice), icon=":material/link_off:")


def _asked(key: str) -> str | None:
    """What a link that was just opened says for `key`; later the widget holds the value."""
    return None if key in st.session_state else st.query_params.get(key)


def _refuse(key: str, notice: str, instead: Sequence[str] = ()) -> None:
    """Take the value out of the link and start the run again, so that no widget ever sees it."""
    st.session_state[_NOTICES] = (*st.session_state.get(_SHOWN, ()), *st.session_state.get(_NOTICES, ()), notice)
    if instead:
        st.query_params[key] = list(instead)
    else:
        del st.query_params[key]
    st.rerun()
