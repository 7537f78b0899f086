"""The trivial control: the logit of the class is set so low that it is never the answer; inside, nothing changes.

The mask lies on the output, whatever follows the last layer there. Relearning through it would say nothing: whoever wants the
class back lifts it.
"""

import torch

from wfviz.methods.registry import method

LOW = -1e4  # a logit that no softmax gives any probability to, also in half precision


@method("logit_mask", "Logit masking", source="control", reference=True, relearns=False, stored=lambda model, data: 8)
def unlearn(model, forget, data, spec, progress):
    model.register_forward_hook(lambda module, inputs, logits: logits.index_fill(1, torch.tensor(forget, device=logits.device), LOW))
    return model
