"""What the tests of the core share: a small WF-Net, and forgetting as Algorithm 1 is written."""

import os
import socket
import urllib.request

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch reads it: the workers share the cores, and sums come out bit by bit alike

import pytest
import torch
from torch import nn
from torch.func import functional_call

from wfviz.backbones import CNN
from wfviz.filtering import WFNet
from wfviz.specs import InputSpec


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One worker drives the browser, which needs a core of its own; the others share the remaining files.

    A file stays with one worker, so that what its tests share is made once; the file that trains has a dashboard of its
    own and mostly waits, so that any worker may take it. (The groups of `--dist loadgroup` would do, but pytest-xdist 3.8
    loses them under pytest 9.2.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "browser" if file.startswith("tests/browser/") and file != "tests/browser/test_train.py" else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    """A browser on a busy machine can run out of time: such a test gets one more go, and the summary says so."""
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


@pytest.fixture
def no_network(monkeypatch):
    """Every download goes to a proxy that nobody runs."""
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxies it was made with: not ours for later tests
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield


@pytest.fixture
def literal():
    """Poppi et al. 2024, Algorithm 1, picture by picture: the weights are multiplied by the gates of the row.

    forgotten: for every picture the classes whose rows apply.
    """

    def run(plain: nn.Module, net: WFNet, x: torch.Tensor, forgotten: list[tuple[int, ...]]) -> torch.Tensor:
        logits = []
        for picture, classes in zip(x, forgotten, strict=True):
            weights = dict(plain.named_parameters())
            for name, alpha in net.alphas().items():
                for c in classes:
                    gate = torch.sigmoid(alpha[c])
                    weights[name] = weights[name] * gate.reshape(-1, *[1] * (weights[name].ndim - 1))
            logits.append(functional_call(plain, weights, picture[None], tie_weights=False))
        return torch.cat(logits)

    return run


@pytest.fixture
def roughen():
    """A plain network's BatchNorm statistics, or a WF-Net's α, as after a training, so that mistakes show; in float64."""

    def run(module: nn.Module, dtype: torch.dtype = torch.float64) -> nn.Module:
        for part in () if isinstance(module, WFNet) else module.modules():
            if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
                if part.affine:
                    nn.init.uniform_(part.weight, 0.5, 1.5)
                    nn.init.normal_(part.bias, 0, 0.3)
        for alpha in module.alpha_parameters() if isinstance(module, WFNet) else ():
            nn.init.normal_(alpha, 0, 2)
        return module.to(dtype).eval()

    return run


@pytest.fixture
def net(roughen):
    """The `cnn` for digits with gates of all sizes, frozen, float32."""
    made = WFNet(CNN(10, 1, 8), 10, ("conv*", "fc1", "fc2"), inputs=InputSpec(1, 8, (0.3,), (0.4,)))
    return roughen(made, torch.float32).requires_grad_(False)


@pytest.fixture
def card():
    """What `WFNet.save` has to be told about `net`."""
    backbone = {"name": "cnn", "n_classes": 10, "channels": 1, "size": 8, "pretrained": False}
    return {"backbone": backbone, "data": {"dataset": "digits", "seed": 0}, "seed": 0, "command": "python -m wfviz untrain"}
