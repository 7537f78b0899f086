"""Page 4: how many filters carry a class, as curves that play."""

import numpy as np
import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures import curves as figures
from wfviz.figures.style import called
from wfviz.playback import filters_moved
from wfviz.ui import cached, playing
from wfviz.ui.state import current
from wfviz.ui.widgets import chart, how, switch
from wfviz.ui.words import plain, sentence

HOW = """
**Insertion** starts at the network with the row of the class applied and opens its gates again, those closed furthest
first, the same share in every layer; **deletion** starts at the original network and closes filters in the same order.
Every step measures the mean probability of the class on test pictures of it, divided by that of the original network.
The area under the curve is taken by the trapezoid rule: for insertion higher is better (ideal 1), for deletion lower
(ideal 0). The controls move as many filters in another order: at **random** (mean of several seeds; the band holds all
of them), by the norm of their **weights**, and by how strongly they **respond** to pictures of the class. Filters that
deserve to be called the class's own beat all three (Poppi et al. 2024; Petsiuk et al. 2018 do the same with pixels).
The curves are stored with the network; only the pictures beside them are computed now. They are test pictures,
whatever split the side bar says.
"""

state = current()
network, classes, forget = state.network, state.network.classes, state.forget
name = None if forget is None else called(state.forgotten)

st.title(plain(f"How many filters carry {name or 'a class'}?"))
mode = switch("Mode", list(figures.BETTER), "mode")
try:
    found, gates = cached.curves(network), cached.gates(network)
except WfvizError as error:
    st.markdown(sentence(error))
    how(HOW)
    st.stop()
fractions = found.fractions
runs = figures.of_class(getattr(found, mode), forget)
counts = filters_moved([kinds["weight"].shape[1] for kinds in gates.values()], fractions)

words = figures.carrying(name, fractions, runs, counts, mode)
st.markdown(plain(words))
if np.isfinite(runs["gates"]).all():
    start = playing.opening(state, mode, fractions, figures.crossing(runs["gates"].mean(0), mode) or 0)
    with st.grid(3, min_column_width=250, gap="medium") as thirds:
        with thirds.cell(column_span=2):
            rows = cached.gate_steps(network, forget, mode)
            chart(figures.curves_figure(fractions, runs, rows, mode, start[0]), words, "curve")
        with thirds.cell():
            playing.side(state, mode, runs, counts, fractions, start)
    st.caption(
        f"Below the curves: the gates {'of ' + plain(name) if name else 'of all classes on average'}, closed dark, open pale, "
        f"as they {'open' if mode == 'insertion' else 'close'} step by step."
    )

st.subheader("Area under the curve of every class")
said = figures.carrying(None, fractions, figures.of_class(getattr(found, mode), None), counts, mode)
st.markdown(plain(f"{mode.capitalize()}: {figures.BETTER[mode]}."))
st.dataframe(
    playing.area_table(classes, found, mode), hide_index=True, height=min(400, 38 + 35 * len(classes)), alt=said,
    column_config=playing.table_formats(mode),
)  # fmt: skip
st.download_button(
    "CSV", playing.area_table(classes, found, *figures.BETTER).to_csv(index=False), f"{network.slug.replace('/', '-')}-areas.csv",
    "text/csv", key="areas", icon=":material/download:", help="Insertion and deletion of every class as a file.", on_click="ignore",
)  # fmt: skip

how(HOW)
