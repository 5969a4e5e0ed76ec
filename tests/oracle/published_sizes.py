"""Published models at full size beside Hugging Face's: the same random weights, every gradient.

    python -m tests.oracle.published_sizes gpt2 smollm2-135m        all of them
    python -m tests.oracle.published_sizes --layers 2 llama2-7b     full width, two layers

Their side and ours run one after the other, each in a process of its own, so that neither model is
in memory while the other computes: weights, logits and gradients pass through files. A figure is
the largest difference divided by the array's largest number, float32 both; for gradients, of the
worst parameter.
"""

import argparse
import gc
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

__all__ = ["main"]

TOKENS = (1, 64)


def preset(name, layers):
    """Our kind and config, and the published config.json that belongs to it."""
    from descent.models.published import to_hf_config
    from descent.models.sizes import GPT2_SIZES, LLAMA_SIZES

    kind = "gpt" if name in GPT2_SIZES else "llama"
    config = dict(GPT2_SIZES.get(name) or LLAMA_SIZES[name])
    if layers:
        config["n_layer"] = min(layers, config["n_layer"])
    return kind, config, to_hf_config(kind, config)


def ids(vocab_size):
    rng = np.random.default_rng(0)
    return rng.integers(0, vocab_size, TOKENS), rng.integers(0, vocab_size, TOKENS)


def theirs(name, layers, folder, gradients):
    """Their model: weights, logits, loss and gradients into files."""
    import torch
    import transformers
    from safetensors.torch import save_file

    torch.set_num_threads(2)
    _, config, json_config = preset(name, layers)
    torch.manual_seed(0)
    made = transformers.AutoConfig.for_model(**json_config)
    model = transformers.AutoModelForCausalLM.from_config(made, attn_implementation="eager").eval()
    with torch.no_grad():  # scales and biases that are not 1 and 0, so that each is seen to matter
        for p in model.parameters():
            if p.ndim == 1:
                p.add_(torch.randn_like(p) * 0.1)
    weights = {n: p.detach() for n, p in model.named_parameters()}
    save_file(weights, folder / "weights.safetensors")
    x, y = (torch.from_numpy(a) for a in ids(config["vocab_size"]))
    began = time.perf_counter()
    with torch.set_grad_enabled(gradients):
        logits = model(x, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        if gradients:
            loss.backward()
    seconds = time.perf_counter() - began
    np.save(folder / "logits.npy", logits.detach().numpy())
    if gradients:
        save_file(
            {n: p.grad for n, p in model.named_parameters()}, folder / "gradients.safetensors"
        )
    (folder / "about.json").write_text(json.dumps({"loss": loss.item(), "seconds": seconds}))


def ours(name, layers, folder, gradients):
    """Our model on their weights; the comparison into a file."""
    from safetensors import safe_open

    import descent as dc
    from descent.models.building import build
    from descent.models.naming import match_hf_names
    from descent.nn import init

    kind, config, _ = preset(name, layers)
    with init.without_values():
        model = build(kind, config).eval()
    with safe_open(folder / "weights.safetensors", "np") as file:
        names = match_hf_names(kind, config, file.keys())
        for mine, p in model.named_parameters():
            their_name, how = names[mine]
            array = file.get_tensor(their_name)
            np.copyto(p.array, array.T if how == "transpose" else array)
    x, y = (dc.from_numpy(a) for a in ids(config["vocab_size"]))
    began = time.perf_counter()
    if gradients:
        logits, loss = model(x, y)
        loss.backward()
    else:
        with dc.no_grad():
            logits, loss = model(x, y)
    seconds = time.perf_counter() - began
    about = json.loads((folder / "about.json").read_text())
    found = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "logits": relative(logits.detach().numpy(), np.load(folder / "logits.npy")),
        "loss": abs(loss.item() - about["loss"]) / about["loss"],
        "seconds": seconds,
        "their_seconds": about["seconds"],
    }
    del logits, loss
    gc.collect()
    if gradients:
        worst = (0.0, "")
        with safe_open(folder / "gradients.safetensors", "np") as file:
            for mine, p in model.named_parameters():
                their_name, how = names[mine]
                array = file.get_tensor(their_name)
                array = array.T if how == "transpose" else array
                worst = max(worst, (relative(p.grad.array, array), mine))
        found["gradients"], found["worst"] = worst
    found["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    (folder / "found.json").write_text(json.dumps(found))


def relative(a, b):
    top = max(float(np.abs(b).max()), 1e-30)
    return float(np.abs(a - b).max()) / top


def compare(name, layers, gradients):
    """Both sides, each in a process of its own; what was found."""
    with tempfile.TemporaryDirectory() as folder:
        for side in (theirs, ours):
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=side, args=(name, layers, Path(folder), gradients))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"{name}: {side.__name__} failed with code {process.exitcode}")
        return json.loads((Path(folder) / "found.json").read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--layers", type=int, default=0, help="only so many of them")
    parser.add_argument("--no-gradients", action="store_true", help="logits and loss alone")
    args = parser.parse_args()
    bad = False
    for name in args.names:
        f = compare(name, args.layers, not args.no_gradients)
        grads = f"gradients {f['gradients']:.1e} ({f['worst']})" if "worst" in f else "no gradients"
        layers = f" ({args.layers} layers)" if args.layers else ""
        print(
            f"{name + layers:24} {f['parameters']:>13,} parameters: logits {f['logits']:.1e}, loss "
            f"{f['loss']:.1e}, {grads}; ours {f['seconds']:.1f} s, theirs "
            f"{f['their_seconds']:.1f} s; our peak {f['peak_gb']:.1f} GB",
            flush=True,
        )
        bad |= max(f["logits"], f["loss"], f.get("gradients", 0.0)) > 1e-4
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
