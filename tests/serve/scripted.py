"""A completer that writes what a test wants, byte by byte, with special tokens and a chat template.

Only what the model says is made up: templates, tokens, sampling and the HTTP are the real ones.
"""

from __future__ import annotations

import numpy as np

from descent.generate import Completer, Sampling
from tests.count_models import ByteTokenizer

SPECIAL = {
    "<|endoftext|>": 256,
    "<|im_start|>": 257,
    "<|im_end|>": 258,
    "<|fim_prefix|>": 259,
    "<|fim_middle|>": 260,
    "<|fim_suffix|>": 261,
    "[TOOL_CALLS]": 262,
    "<|python_tag|>": 263,
}
CHATML = (
    "{% if tools %}<|im_start|>system\n# Tools\n{% for tool in tools %}{{ tool | tojson }}\n"
    "{% endfor %}Answer a call as <tool_call>\n{...}\n</tool_call><|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class SpecialTokenizer(ByteTokenizer):
    """Bytes, and special tokens above them."""

    special_tokens = SPECIAL
    vocab_size = 256 + len(SPECIAL)

    def encode(self, text: str, allowed_special: str = "none") -> list[int]:
        if allowed_special != "all":
            return super().encode(text)
        ids: list[int] = []
        while text:
            at = {text.find(name): name for name in SPECIAL if name in text}
            first = min(at, default=len(text))
            ids += super().encode(text[:first])
            if first == len(text):
                break
            ids.append(SPECIAL[at[first]])
            text = text[first + len(at[first]) :]
        return ids

    encode_ordinary = ByteTokenizer.encode

    def token_bytes(self, id: int) -> bytes:
        return bytes([id]) if id < 256 else list(SPECIAL)[id - 256].encode()

    def decode_bytes(self, ids) -> bytes:
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids) -> str:
        return self.decode_bytes(ids).decode("utf-8", errors="replace")


class Script:
    """A model that says `says` after any prompt, then ends; `heard` are the prompts."""

    vocab_size = SpecialTokenizer.vocab_size

    def __init__(self, says: str = "", context: int | None = 2048) -> None:
        self.says, self.context = says, context
        self.heard: list[str] = []

    def session(self):
        script = [*SpecialTokenizer().encode(self.says, "all"), SPECIAL["<|im_end|>"]]
        outer, at = self, -1

        class ScriptSession:
            def feed(self, ids):
                nonlocal at
                if at < 0:
                    outer.heard.append(SpecialTokenizer().decode(ids))
                at += 1
                logits = np.zeros(outer.vocab_size, np.float32)
                logits[script[min(at, len(script) - 1)]] = 30.0
                return logits

        return ScriptSession()


def template(source: str = CHATML):
    from descent.data.tokenizers.chat import ChatTemplate

    return ChatTemplate(source, bos_token="", eos_token="<|im_end|>")


def scripted(model: Script, name: str = "chatty", source: str = CHATML, **options) -> Completer:
    return Completer(
        name,
        1700000002,
        model,
        SpecialTokenizer(),
        eos_ids=[SPECIAL["<|im_end|>"], SPECIAL["<|endoftext|>"]],
        info=options.pop("info", {"kind": "chat"}),
        defaults=Sampling(temperature=0.0),
        chat=template(source),
        **options,
    )
