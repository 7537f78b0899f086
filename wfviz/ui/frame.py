"""The frame of every page: the side bar, where the classes are chosen once, and the strip of gates on top."""

from __future__ import annotations

import numpy as np
import streamlit as st
from PIL import Image

from wfviz import plugins
from wfviz.errors import WfvizError
from wfviz.figures import strip as strip_figure
from wfviz.figures.style import PALETTES, called, percent, use_palette
from wfviz.ui import cached, copylink, definitions, documents, naming, saving, tour
from wfviz.ui.state import State, check_link, check_several, nothing_for, remember, show_notices
from wfviz.ui.widgets import COLOURS, chart, switch
from wfviz.ui.words import plain, sentence

CHIPS = 20  # classes up to which every class is a chip
INKS = ("38, 39, 48", "250, 250, 250")  # what Streamlit makes of the figures' INK on a light and on a dark page

LOGO = """<svg xmlns="http://www.w3.org/2000/svg" width="118" height="30" viewBox="0 0 118 30">
<g fill="#8A919C"><rect x="1" y="5" width="3" height="20" rx="1"/><rect x="6" y="5" width="3" height="20" rx="1"/>
<rect x="16" y="5" width="3" height="20" rx="1"/><rect x="21" y="5" width="3" height="20" rx="1"/></g>
<rect x="11" y="5" width="3" height="20" rx="1" fill="#E2622A"/>
<text x="32" y="22" font-family="sans-serif" font-size="20" font-weight="600" fill="#8A919C">wfviz</text></svg>"""

WHY = """
A WF-Net is an ordinary classifier, frozen, with one **gate** for every filter and every class. Forgetting a class
closes the gates in its row while a picture passes through; the weights on disk stay exactly as they were.

So the network **behaves as if** it had forgotten. That is no proof that the class is gone from inside it: with the
gates open again the class is back at once, and with “none” the network gives the same numbers as the original, bit for bit.
"""


def icon() -> Image.Image:
    """The icon of the browser's tab: a bar code with one bar in the accent. Drawn, so that nothing is fetched."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    for x in (1, 9, 17, 25):
        pixels[3:29, x : x + 5] = (226, 98, 42, 255) if x == 17 else (138, 145, 156, 255)
    return Image.fromarray(pixels)


def ink() -> None:
    """Text in charts has the colour of the page: also in those that were drawn before its theme was switched."""
    written = ", ".join(f'.js-plotly-plot text[style*="fill: rgb({color})"]' for color in INKS)
    st.html(f"<style>{written} {{ fill: currentColor !important; }}</style>")


def show(together: bool = True) -> bool:
    """Draw the frame and set the state of this run. False where there is no network to look at.

    together: whether the page that follows forgets several classes at once; otherwise a caption says that it does not.
    """
    st.logo(LOGO, size="large")
    if said := _own():
        st.warning(sentence(said), icon=":material/extension_off:")
    found, complaints = cached.networks()
    if complaints:
        st.warning("  \n".join(plain(c) for c in complaints[:5]), icon=":material/folder_off:")
    if not found:
        st.title("There is no network yet")
        st.markdown("The pages show checkpoints under `checkpoints/` and `runs/`. These commands make the first one:")
        st.code(
            "python -m wfviz pretrain --dataset digits --backbone cnn --out runs/digits-backbone\n"
            "python -m wfviz untrain --dataset digits --backbone cnn --from runs/digits-backbone --out runs/digits-cnn",
            language="bash",
        )
        naming.name_buttons()
        return False
    with st.sidebar:
        network = _network(found)
        forget = _forget(network)
        also = _also(network, forget)
        split = _split(network)
        st.caption("**Behaves as if it had forgotten. The weights are unchanged.**")
        state = State(network, forget, split, also)
        _links(state)
        naming.name_buttons()
    remember(state)
    show_notices()
    _strip(state)
    if also and not together:
        st.caption(plain(f"This page looks at {called(state.forgotten)} alone, the first of the forgotten classes."))
    return True


@st.cache_resource(show_spinner="Loading networks and methods of your own")
def _own() -> WfvizError | None:
    """Load them once; what is wrong with them."""
    try:
        plugins.from_environment()
    except WfvizError as error:
        return error
    return None


def _links(state: State) -> None:
    """Why and the links; help, look and documents; tour and report."""
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            with st.popover("Why", icon=":material/verified_user:", type="tertiary"):
                st.markdown(WHY)
            chosen = state.forgotten if state.forgotten is not None else nothing_for(state.network.classes)
            copylink.copy_link(network=state.network.slug, forget=chosen, split=state.split)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            with st.popover("Help", type="tertiary"):
                definitions.show()
            with st.popover("Look", type="tertiary"):
                st.caption("Colours of the classes. The forgotten ones are always orange.")
                use_palette(switch("Colours", list(PALETTES), COLOURS))
            documents.link()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.button("Tour", type="tertiary", key="tour_begin", on_click=tour.begin)
            saving.report(state)


def _network(found: dict[str, cached.Network]) -> cached.Network:
    slugs = list(found)
    check_link("network", slugs, "network", slugs[0])
    if st.session_state.get("network") not in (None, *slugs):
        del st.session_state["network"]
    slug = st.selectbox(
        "Network", slugs, key="network", bind="query-params", help="Every checkpoint under checkpoints/ and runs/."
    )
    network = found[slug if slug in found else slugs[0]]
    facts = [f"{network.dataset}, {len(network.classes):,} classes"]
    if network.accuracy is not None:
        facts.append(f"{percent(network.accuracy)} right")
    size = [f"{_short(n)} {what}" for n, what in ((network.parameters, "weights"), (network.gates, "gates")) if n]
    st.caption("  \n".join(plain(", ".join(line)) for line in (facts, size) if line))
    return network


def _forget(network: cached.Network) -> int | None:
    nothing = nothing_for(network.classes)
    options = [nothing, *network.classes]
    check_link("forget", options, "class", f"“{nothing}”")
    if st.session_state.get("forget") not in (None, *options):
        del st.session_state["forget"]
    if len(network.classes) <= CHIPS:
        picked = st.pills(
            "Forget", options, default=nothing, required=True, key="forget", bind="query-params"
        )
    else:
        picked = st.selectbox("Forget", options, key="forget", bind="query-params", help="Type to search.")
    return None if picked not in network.classes else network.classes.index(picked)


def _also(network: cached.Network, forget: int | None) -> tuple[int, ...]:
    """Further forgotten classes, behind a switch; never the first one."""
    options = [name for c, name in enumerate(network.classes) if c != forget]
    check_several("also", [] if forget is None else options, "further class to forget")
    if "several" not in st.session_state:
        st.session_state["several"] = "also" in st.query_params
    on = st.toggle("Several at once", key="several", disabled=forget is None, help="Their gates multiply.")
    if not on or forget is None:
        return ()
    if "also" in st.session_state:
        st.session_state["also"] = [name for name in st.session_state["also"] if name in options]
    if len(network.classes) <= CHIPS:
        picked = st.pills("and also", options, selection_mode="multi", key="also", bind="query-params")
    else:
        picked = st.multiselect("and also", options, key="also", bind="query-params", help="Type to search.")
    return tuple(network.classes.index(name) for name in picked if name in options)


def _split(network: cached.Network) -> str:
    try:
        stored = cached.evaluation(network).splits
    except WfvizError:
        stored = ("test", "train")
    options = [s for s in ("test", "train") if s in stored] or list(stored)
    check_link("split", options, "split", options[0])
    if st.session_state.get("split") not in (None, *options):
        del st.session_state["split"]
    picked = st.segmented_control(
        "Split", options, default=options[0], required=True, key="split", bind="query-params",
        help="Pictures the network was tested with, or those it was trained on.",
    )  # fmt: skip
    return picked if picked in options else options[0]


def _strip(state: State) -> None:
    try:
        gates = cached.gates(state.network)
    except WfvizError as error:
        st.warning(sentence(error))
        return
    rows = {layer: g["weight"][list(state.together)].prod(axis=0) for layer, g in gates.items()}
    words = strip_figure.strip_text(rows, state.names or None)
    with st.container(gap="xxsmall"):
        st.caption(plain(words))
        chart(strip_figure.strip(rows), words, "strip")


def _short(number: int) -> str:
    """12,345 as `12.3 k`."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return str(number)
