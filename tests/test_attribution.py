"""Attributions against their own definitions, under threads, and with gates that are closed."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from wfviz import attribution
from wfviz.attribution import agreement, attribute, cam_layers, methods
from wfviz.backbones import build
from wfviz.errors import WfvizError
from wfviz.filtering import WFNet
from wfviz.specs import BackboneSpec, InputSpec


@pytest.fixture
def x():
    return torch.randn(2, 1, 8, 8)


@pytest.fixture
def vit(roughen):
    backbone = build(BackboneSpec("vit_micro", 10, 1, 8, False))
    return roughen(WFNet(backbone, 10, inputs=InputSpec(1, 8, (0.3,), (0.4,))), torch.float32).requires_grad_(False)


def test_methods_fit_the_network(net, vit):
    assert methods(net) == ("integrated_gradients", "grad_cam", "occlusion")
    assert methods(vit) == ("integrated_gradients", "rollout", "occlusion")
    assert cam_layers(net) == ("conv1", "conv2") and not cam_layers(vit)


@pytest.mark.parametrize("forget", [None, 3])
def test_integrated_gradients_add_up_to_the_change_of_the_output(net, x, forget, monkeypatch):
    monkeypatch.setattr(attribution, "STEPS", 400)
    maps = attribute(net, x, 3, "integrated_gradients", forget)
    with torch.no_grad():
        change = net(x, forget=forget)[:, 3] - net(torch.zeros_like(x), forget=forget)[:, 3]
    assert maps.shape == (2, 8, 8) and maps.dtype == np.float32
    assert np.allclose(maps.sum((1, 2)), change, rtol=0.02, atol=0.02 * float(change.abs().max()))


@pytest.mark.parametrize("layer", ["conv1", "conv2"])
@pytest.mark.parametrize("forget", [None, 3])
def test_grad_cam_as_written_in_the_paper(net, x, layer, forget):
    """Channels weighted by the mean gradient of the logit, by hand; the gate included."""
    seen = []
    hook = net.outlets()[layer].register_forward_hook(lambda _m, _i, y: seen.append(y.detach().requires_grad_()) or seen[-1])
    logits = net(x, forget=forget)
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[:, 5].sum(), seen[0])
    small = (gradient.mean((2, 3), keepdim=True) * seen[0]).sum(1, keepdim=True)
    slow = torch.nn.functional.interpolate(small, (8, 8), mode="bilinear")[:, 0].detach().numpy()
    assert np.allclose(attribute(net, x, 5, "grad_cam", forget, layer), slow, atol=1e-6)


def test_occlusion_is_the_fall_of_the_output_also_of_colours(monkeypatch):
    """A window that covers the picture: every pixel has the whole fall, however many channels."""
    class Sum(torch.nn.Module):
        def forward(self, x, forget=None):
            return x.sum((1, 2, 3))[:, None].expand(-1, 2)

    for channels in (1, 3):
        x = torch.rand(2, channels, 2, 2)
        maps = attribution._occlusion(Sum(), x, 1, None, None)
        assert torch.allclose(maps, x.sum((1, 2, 3))[:, None, None].expand(2, 2, 2))


def test_occlusion_of_a_dead_picture_is_nothing(net):
    """Grey (the mean) in the place of grey changes nothing."""
    assert np.allclose(attribute(net, torch.zeros(1, 1, 8, 8), 2, "occlusion"), 0, atol=1e-6)


@pytest.mark.parametrize("forget", [None, 3])
def test_rollout_is_attention_multiplied_through(vit, x, forget):
    blocks = vit.backbone.blocks
    kept, hooks = [], [b.attn.register_forward_pre_hook(lambda _m, args: kept.append(args[0])) for b in blocks]
    with torch.no_grad():
        vit(x, forget=forget)
    for hook in hooks:
        hook.remove()
    gates, flow = vit.gates(), torch.eye(kept[0].shape[1])
    for i, (block, tokens) in enumerate(zip(blocks, kept, strict=True)):
        inner, attn = block.attn.qkv.inner, block.attn
        row = {k: g[3] if forget is not None else torch.ones_like(g[3]) for k, g in gates[f"blocks.{i}.attn.qkv"].items()}
        qkv = torch.nn.functional.linear(tokens, inner.weight * row["weight"][:, None], inner.bias * row["bias"])
        q, k, _ = qkv.unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
        step = (torch.softmax(q @ k.transpose(-2, -1) * attn.scale, -1).mean(1) + torch.eye(q.shape[2])) / 2
        flow = step @ flow
    assert torch.allclose(flow.sum(-1), torch.ones(()).expand(flow.shape[:2]), atol=1e-5)  # every row is a distribution
    patches = flow[:, 0, 1:]
    side = round(patches.shape[1] ** 0.5)
    slow = torch.nn.functional.interpolate(patches.view(2, 1, side, side), (8, 8), mode="bilinear")[:, 0]
    assert np.allclose(attribute(vit, x, 0, "rollout", forget), slow, atol=1e-5)


@pytest.mark.parametrize("which", ["net", "vit"])
def test_forgetting_changes_every_map(request, x, which):
    network = request.getfixturevalue(which)
    for method in methods(network):
        before, after = attribute(network, x, 3, method), attribute(network, x, 3, method, forget=3)
        assert np.isfinite(before).all() and not np.allclose(before, after), method


def test_the_network_is_left_as_it_was(net, x):
    logits = net(x, forget=3)
    for method in methods(net):
        attribute(net, x, 1, method, forget=2)
    assert torch.equal(net(x, forget=3), logits)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_network_that_has_changed_is_looked_at_anew(net, x):
    before = attribute(net, x, 1, "integrated_gradients", forget=3)
    with torch.no_grad():
        net.alpha_parameters()[0][3] -= 4
    assert np.abs(before - attribute(net, x, 1, "integrated_gradients", forget=3)).max() > 1e-3


def test_threads_do_not_disturb_each_other(net, x):
    wanted = [(method, forget) for method in methods(net) for forget in (None, 3, 7)] * 2
    alone = [attribute(net, x, 3, method, forget) for method, forget in wanted]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda w: attribute(net, x, 3, *w), wanted))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_agreement():
    a = np.array([[0.0, 1], [2, 3]])
    assert agreement(a, 5 * a + 1) == pytest.approx(1) and agreement(a, -a) == pytest.approx(-1)
    assert np.isnan(agreement(a, np.ones((2, 2))))


def test_unknown_names_are_refused(net, vit, x):
    with pytest.raises(WfvizError, match="grad_cam"):
        attribute(net, x, 0, "gradcam")
    with pytest.raises(WfvizError, match="unknown convolution"):
        attribute(net, x, 0, "grad_cam", layer="conv3")
    with pytest.raises(WfvizError):
        attribute(vit, x, 0, "grad_cam")
