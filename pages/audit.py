"""Page 7: is a class gone, or only silenced?"""

import streamlit as st

from wfviz.figures import verdicts
from wfviz.ui import auditing, compared, saving, screening
from wfviz.ui.state import current
from wfviz.ui.widgets import how
from wfviz.ui.words import plain

state = current()
title, answer = st.empty(), st.empty()
comparison = compared.chosen(state)
forget, note = (None, "") if comparison is None else compared.forgotten(state, comparison)
whose = "a forgotten class" if comparison is None else compared.whose(comparison, forget)
title.title(plain(f"Is {whose} really gone?"))

if comparison is not None and note:
    st.caption(plain(note))
if comparison is not None and not comparison.finished:
    answer.markdown("No method has finished in this comparison, so there is nothing to judge yet.")
    screening.failures(comparison, forget)
elif comparison is not None:
    case = auditing.asked(state, comparison, forget)
    if not case.rows(case.method):
        answer.markdown(plain(f"{comparison.title(case.method)} has no finished row for {case.whose}."))
        screening.failures(comparison, forget)
    else:
        if case.left_out:
            st.caption(case.left_out)
        found = case.verdicts(case.method)
        answer.markdown(plain(case.paragraph(found)))
        auditing.questions(case, found)
        auditing.attacks(case)
        auditing.open_gates(state, case)
        saving.report(state, "audit_report", "Make the report of the network")

how(
    f"""
Every verdict compares with the network **retrained without the class**, which is what unlearning aims at; without one
only the first question is answered, beside zero. **Logit masking**, which only never says the name, shows what the first question is worth by itself.

- **Recognised** (Acc_f): “no” up to {100 * verdicts.SILENT:.0f} points above the retrained network, “partly” up to {100 * verdicts.FAINT:.0f}, or where
  one of several classes is beyond that.
- **Inside**: a linear classifier is fitted on the features of a layer, over training pictures of all classes; its recall on
  the forgotten class counts. “No” up to {100 * verdicts.INSIDE:.0f} points above the retrained network, “yes” within {100 * verdicts.INSIDE:.0f} of the original
  or above it, “partly” in between.
- **Back**: epochs of training, 500 random pictures each, until the class is recognised as well as before. “No” from
  {100 * verdicts.SOONER:.0f} % of the epochs that the retrained network needs, and of the classes it never gets back. Who reaches the goal
  stays there in the mean curve.
- **Told**: confidence, entropy, loss, and a logistic regression on the sorted probabilities, each asked to tell training
  pictures of the class from test pictures, and with three seeds or more LiRA; the strongest counts, and the curves are its own, averaged at equal rates of
  false alarms. “No” up to {verdicts.TELLING:.2f} above the AUC of the retrained network, “partly” up to {2 * verdicts.TELLING:.2f}, or two and four standard
  errors of an attack that guesses where these are more, as with few pictures; not known where “no” holds of the original as well. The worst case looks at all networks for the class where this method is told best.

With “none” in the side bar the numbers are means over all forgotten classes and seeds. A verdict is about these four
questions: it is evidence, not a proof of absence.
"""
)
