"""Which ids stand before and after a text that is given to a model: usually a begin token.

`tokenizer.json` says it as a post-processor (TemplateProcessing, or BERT's and RoBERTa's pair);
`tokenizer_config.json` may overrule it with add_bos_token and add_eos_token.
"""

from typing import Any

from descent.data.errors import DataError

__all__ = ["frame", "named_token", "token_name"]

Frame = tuple[tuple[int, ...], tuple[int, ...]]


def token_name(value: Any) -> str | None:
    """A token in a configuration is its name, or {"content": name, …}."""
    name = value.get("content") if isinstance(value, dict) else value
    return name if isinstance(name, str) else None


def named_token(tokenizer: Any, value: Any) -> int | None:
    """The id of the token a configuration names; None where it names none we have."""
    name = token_name(value)
    added = tokenizer.added_tokens if name is not None else {}
    return added.get(name)


def frame(tokenizer: Any, spec: dict | None, config: dict) -> Frame:
    """The ids before and after a text."""
    begin, end = _framed(spec)
    add_bos, add_eos = config.get("add_bos_token"), config.get("add_eos_token")
    if isinstance(add_bos, bool) and tokenizer.bos_id is not None:
        begin = (tokenizer.bos_id,) if add_bos else ()
    if isinstance(add_eos, bool) and tokenizer.eos_id is not None:
        end = (tokenizer.eos_id,) if add_eos else ()
    if not all(type(token) is int and token >= 0 for token in (*begin, *end)):
        raise DataError("the post-processor must name ids ≥ 0")
    return begin, end


def _framed(spec: dict | None) -> Frame:
    kind = None if spec is None else spec.get("type")
    if spec is None or kind == "ByteLevel":
        return (), ()
    if kind == "Sequence":
        begin: tuple[int, ...] = ()
        end: tuple[int, ...] = ()
        for each in spec["processors"]:
            before, after = _framed(each)
            begin, end = before + begin, end + after
        return begin, end
    if kind in ("RobertaProcessing", "BertProcessing"):
        return (spec["cls"][1],), (spec["sep"][1],)
    if kind == "TemplateProcessing":
        return _template(spec)
    raise DataError(
        f"post-processor {kind!r} is not known here; known are Sequence, ByteLevel, "
        "TemplateProcessing, BertProcessing and RobertaProcessing"
    )


def _template(spec: dict) -> Frame:
    """`single` is a list of {"SpecialToken": {"id": name}} with one {"Sequence": …} among them."""
    sides: list[list[int]] = [[], []]
    side = 0
    for item in spec["single"]:
        if "Sequence" in item:
            side = 1
        else:
            sides[side] += spec["special_tokens"][item["SpecialToken"]["id"]]["ids"]
    return tuple(sides[0]), tuple(sides[1])
