"""LoRA fine-tuning of GPT-2 124M, one step: B=4, T=128, r=8 on c_attn, clipping, AdamW, float32.

What `descent finetune --method lora` runs (`descent.train.passes`), beside peft over transformers
and torch eager. The same weights, adapters and batches on both sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.compare import Bar
from bench.race import Work
from bench.sides import gpt
from bench.sides.process import Side
from bench.sides.stepping import Data, Run, cycle

SHAPE = gpt.Shape(50257, 1024, 4, 12, 12, 768, tie=True, lr=5e-4)
R, ALPHA, T = 8, 16.0, 128


def data() -> dict[str, np.ndarray]:
    """GPT-2's initial weights, the adapters' first halves, one batch of 4 × 128 random tokens."""
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, SHAPE.vocab, 4 * T + 1)
    bound = 1 / SHAPE.width**0.5
    first = {
        f"h.{i}.attn.c_attn.lora_A": rng.uniform(-bound, bound, (R, SHAPE.width)).astype(np.float32)
        for i in range(SHAPE.layers)
    }
    x, y = tokens[:-1].reshape(1, 4, T), tokens[1:].reshape(1, 4, T)
    return gpt.weights(SHAPE) | first | {"x": x, "y": y}


def descent_lora(data: Data, compiled: bool = True) -> Run:
    """The model, adapters and passes of `descent finetune`."""
    import descent
    from descent import optim
    from descent.models.gpt import GPT, GPTConfig
    from descent.nn import init
    from descent.train.lora import adapt, adapters
    from descent.train.passes import Passes

    with init.without_values():  # as every model that is loaded is made
        model = GPT(GPTConfig(SHAPE.vocab, SHAPE.block, SHAPE.layers, SHAPE.heads, SHAPE.width))
    gpt.fill(descent, model, data)
    adapt(model, ("c_attn",), r=R, alpha=ALPHA)
    for path, layer in adapters(model):
        layer.lora_A.array[...] = data[f"{path}.lora_A"]
    passes = Passes(model, clip=1.0, accumulate=1, compiled=compiled, shapes=[])
    optimizer = optim.AdamW(passes.parameters, lr=SHAPE.lr, weight_decay=0.0)
    x, y = data["x"][0], data["y"][0]

    def run(n: int) -> float:
        loss = 0.0
        for _ in range(n):
            passes.begin()
            loss = passes.add(x, y)
            passes.clip()
            optimizer.step()
        return loss

    return run


def descent_eager(data: Data) -> Run:
    return descent_lora(data, compiled=False)


def peft_eager(data: Data) -> Run:
    """peft over transformers' GPT-2, torch eager."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(2)
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    net: Any = GPT2LMHeadModel(GPT2Config(**none))
    with torch.no_grad():
        for name, p in net.named_parameters():
            value = data[name.removeprefix("transformer.")]
            p.copy_(torch.from_numpy(value.T if "c_" in name and value.ndim == 2 else value))
    config = LoraConfig(
        r=R, lora_alpha=ALPHA, target_modules=["c_attn"], fan_in_fan_out=True,
        task_type="CAUSAL_LM",
    )  # fmt: skip
    net = get_peft_model(net, config)
    learn = [p for p in net.parameters() if p.requires_grad]
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "lora_A" in name:
                layer = name.split("transformer.")[1].split(".lora_A")[0]
                p.copy_(torch.from_numpy(data[f"{layer}.lora_A"]))
    net.train()
    optimizer = torch.optim.AdamW(learn, lr=SHAPE.lr, weight_decay=0.0, fused=True)

    def step(x: Any, y: Any) -> Any:
        logits = net(input_ids=x, use_cache=False).logits  # B T V
        loss = torch.nn.functional.cross_entropy(logits.view(-1, SHAPE.vocab), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learn, 1.0)
        optimizer.step()
        return loss

    return cycle(step, gpt.batches(torch, data))


WORKS = (
    Work(
        "LoRA step, GPT-2 124M (B=4, T=128, r=8 on c_attn, float32, AdamW)",
        data,
        (
            Side("descent", "bench.lora:descent_lora"),
            Side("descent eager", "bench.lora:descent_eager"),
            Side("peft + torch eager", "bench.lora:peft_eager"),
        ),
        steps=1,
        check=5,
        rounds=7,
        bars=(
            Bar(1.7, ("peft + torch eager",)),
            Bar(1 / 0.7, ("peft + torch eager",), of="memory"),
        ),
        memory=True,
    ),
)
