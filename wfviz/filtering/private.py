"""A copy of a network for work that hooks into its modules, so that nobody who shares the original notices."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from wfviz.filtering.network import WFNet

_copies: WeakKeyDictionary[WFNet, tuple[WFNet, threading.Lock, list]] = WeakKeyDictionary()
_making = threading.Lock()


@contextmanager
def private_copy(net: WFNet) -> Iterator[WFNet]:
    """The network's one frozen copy, for one caller at a time; another one where the network has changed since."""
    state = [(t.data_ptr(), t._version, t.device) for t in (*net.parameters(), *net.buffers())]
    with _making:
        if net not in _copies or _copies[net][2] != state:
            _copies[net] = (copy.deepcopy(net).requires_grad_(False), threading.Lock(), state)
        own, lock, _ = _copies[net]
    with lock:
        yield own
