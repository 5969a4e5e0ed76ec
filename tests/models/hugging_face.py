"""A model of Hugging Face's beside ours on the same random weights: logits, loss, every gradient."""

import numpy as np
import torch
import transformers

import descent as dc
from descent.models.building import build
from descent.models.naming import match_hf_names
from descent.models.published import from_hf_config

__all__ = ["check_all", "ours_of", "relative", "their_model"]


def their_model(config, seed=0):
    """Their model for one of their config objects, float32, in eval mode, biases not zero."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("bias"):
                p.normal_(0, 0.1)
            elif p.ndim == 1:  # scales of norms
                p.add_(torch.randn_like(p) * 0.1)
            elif p.shape[0] < 1000:  # a wider spread than their start: attention that looks
                p.mul_(4)
    return model.float().eval()


def ours_of(model):
    """Our model with their weights, built from their config.json and their names alone."""
    kind, config = from_hf_config(model.config.to_dict())
    ours = build(kind, config).eval()
    state = {n: p for n, p in model.state_dict().items()}
    names = match_hf_names(kind, config, state)
    mine = ours.state_dict()
    assert set(names) == set(mine)
    for name, (theirs, how) in names.items():
        array = state[theirs].numpy()
        np.copyto(mine[name].array, array.T if how == "transpose" else array)
    return ours, names


def relative(ours, theirs):
    """Largest difference, relative to the array's largest number."""
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


def check_all(model, idx, targets, tolerance=1e-4):
    """Compare; returns the worst relative difference of logits, loss and gradients."""
    ours, names = ours_of(model)
    logits, loss = ours(dc.from_numpy(idx), dc.from_numpy(targets))
    loss.backward()
    expected = model(torch.from_numpy(idx)).logits
    their_loss = torch.nn.functional.cross_entropy(
        expected.flatten(0, 1), torch.from_numpy(targets).flatten(), ignore_index=-1
    )
    their_loss.backward()
    worst = {
        "logits": relative(logits.detach().numpy(), expected.detach().numpy()),
        "loss": abs(loss.item() - their_loss.item()) / their_loss.item(),
    }
    theirs = dict(model.named_parameters(remove_duplicate=False))
    for name, p in ours.named_parameters():
        their_name, how = names[name]
        gradient = theirs[their_name].grad.numpy()
        worst[name] = relative(p.grad.numpy(), gradient.T if how == "transpose" else gradient)
    bad = {name: value for name, value in worst.items() if not value <= tolerance}
    assert not bad, bad
    gradients = max((v, n) for n, v in worst.items() if n not in ("logits", "loss"))
    return worst["logits"], worst["loss"], *gradients
