"""Page 5: where the network looks, before and after forgetting."""

import streamlit as st

from wfviz.errors import WfvizError
from wfviz.figures import attributions as figures
from wfviz.ui import attending, cached, looking
from wfviz.ui.state import current
from wfviz.ui.widgets import how, switch
from wfviz.ui.words import plain, sentence

HOW = """
Every map says how much each pixel speaks for the explained class: the true class of the picture, or, on request and for
pictures of your own, what the original network takes it for. Before and after are the same network and the same
picture, without and with the rows of the forgotten classes; the output explained is the logit, ahead of the softmax.

- **Integrated gradients** (Sundararajan et al. 2017): gradients summed up on the way from the mean picture to this one,
  in 32 steps, times the difference; all pixels together add up to the change of the output.
- **Grad-CAM** (Selvaraju et al. 2017): the channels of a convolution weighted by their mean gradient, gates included,
  enlarged to the picture. Not cut off at zero, so that what speaks against the class shows as well.
- **Attention rollout** (Abnar & Zuidema 2020): the attention of all blocks multiplied, half of each step being the
  residual; where the class token looks, whatever the class.
- **Occlusion** (Zeiler & Fergus 2014): how far the output falls when a window of an eighth of the side, at least two pixels, turns grey.

Agreement is the correlation of the two maps over all pixels. A map is a way to look at a network, not a proof.
"""

state = current()
network, classes = state.network, state.network.classes

st.title(plain(f"Where does the network look{f' once it forgets {state.names}' if state.names else ''}?"))
answer = st.container()
try:
    net = cached.model(network)
except WfvizError as error:
    answer.markdown(sentence(error))
    how(HOW)
    st.stop()

method, layer, which = attending.asked(state, net)
maps = st.container()
source = switch("Pictures", list(looking.SHOW), "source")
try:
    look = looking.SHOW[source](state)
    if look is None:
        answer.markdown("The maps appear as soon as there is a picture to look at.")
    else:
        target = attending.target_of(look, which)
        with maps:
            before, after = attending.maps(state, look, target, method, layer)
            agreement = attending.agree(before, after)
            words = figures.agreeing(classes, method, target, state.together, agreement, look.truth)
            attending.side_by_side(state, look, before, after, method != "attention rollout", words)
        answer.markdown(plain(words))
except WfvizError as error:
    answer.markdown("The maps appear as soon as there is a picture to look at.")
    st.error(sentence(error), icon=":material/image_not_supported:")

how(HOW)
