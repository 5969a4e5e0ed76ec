"""A Hugging Face `tokenizer.json`, run: added tokens, normalizer, pre-tokenizer, BPE, decoder.

    text → segments between added tokens → rewritten → words → ids      ids → bytes → text

Same ids as the `tokenizers` library (tested); what it has and we have not is refused by name when
the file is read. Words repeat, so their ids are cached. Where there is no pre-tokenizer
(sentence-piece vocabularies) text is cut at borders no token of the vocabulary crosses.
"""

from collections.abc import Collection, Iterator, Sequence

from descent.data.errors import DataError
from descent.data.tokenizers.added import AddedToken, Finder
from descent.data.tokenizers.base import AllowedSpecial, Tokenizer, well_formed
from descent.data.tokenizers.byte_alphabet import to_alphabet
from descent.data.tokenizers.detokenizing import Detokenizing
from descent.data.tokenizers.framing import frame, named_token
from descent.data.tokenizers.normalizing import rewriting
from descent.data.tokenizers.presplitting import PreSplit
from descent.data.tokenizers.word_bpe import WordBPE

__all__ = ["PipelineTokenizer"]

_PROBE = "Aa 1,\n"
_CACHED_WORDS = 1 << 18
_CACHED_LENGTH = 256


class PipelineTokenizer(Tokenizer):
    """Args:
    spec: the content of tokenizer.json.
    config: the content of tokenizer_config.json, of which bos_token, eos_token, add_bos_token,
        add_eos_token and chat_template are used.
    """

    kind = "pipeline"

    def __init__(self, spec: dict, config: dict | None = None):
        self.spec, self.config = spec, dict(config or {})
        self._cache: dict[str, list[int]] = {}
        try:
            self._build(spec)
            self._frame(spec.get("post_processor"))
            self.decode(self._encode(_PROBE, self.special_tokens))  # a wrong type shows here
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"not a complete tokenizer.json: {error!r}") from None

    def _build(self, spec: dict) -> None:
        self._rewrite = rewriting(spec.get("normalizer"))
        self._split = PreSplit(spec.get("pre_tokenizer"))
        self._bpe = _word_model(spec["model"])
        decoder = Detokenizing.of(spec.get("decoder"))
        self.drop_spaces = decoder.drop_spaces
        added = [AddedToken.of(each) for each in spec.get("added_tokens") or ()]
        self.added_tokens = {token.content: token.id for token in added}
        names = {token: name for name, token in self._bpe.ids.items()}
        names |= {token.id: token.content for token in added}
        specials = {token.content: token.id for token in added if token.special}
        for token in specials.values():
            names.pop(token, None)
        self.vocab = {token: decoder.bytes(name) for token, name in sorted(names.items())}
        self.register_special_tokens(specials)
        rewritten = self._rewrite or (lambda text: text)
        self._raw = Finder((token.content, token) for token in added if not token.normalized)
        self._late = Finder(
            (rewritten(token.content), token) for token in added if token.normalized
        )
        self._borders = None
        if not self._split.stages and not self._split.byte_level:
            self._borders = self._bpe.borders()

    def _frame(self, post_processor: dict | None) -> None:
        self.bos_id = named_token(self, self.config.get("bos_token"))
        self.eos_id = named_token(self, self.config.get("eos_token"))
        self.begin_ids, self.end_ids = frame(self, post_processor, self.config)
        template = self.config.get("chat_template")
        self.chat_template = template if isinstance(template, str) else None

    def encode_ordinary(self, text: str) -> list[int]:
        """Ids of `text`; added tokens that are not special are recognised all the same."""
        return self._encode(text, ())

    def encode(self, text: str, allowed_special: AllowedSpecial = "none_raise") -> list[int]:
        return self._encode(text, set(self._allowed(text, allowed_special)))

    def _encode(self, text: str, allowed: Collection[str]) -> list[int]:
        ids: list[int] = []
        for first, part in self._segments(well_formed(text), allowed):
            if isinstance(part, AddedToken):
                ids.append(part.id)
            else:
                self._encode_segment(part, first, ids)
        return ids

    def _segments(
        self, text: str, allowed: Collection[str]
    ) -> Iterator[tuple[bool, str | AddedToken]]:
        """Added tokens and the rewritten text between them; True for what begins the text."""
        first = True
        for part in self._raw.cut(text, allowed):
            if isinstance(part, AddedToken):
                yield first, part
                first = False
                continue
            for piece in self._late.cut(self._rewrite(part) if self._rewrite else part, allowed):
                yield first, piece
                first = False

    def _encode_segment(self, text: str, first: bool, ids: list[int]) -> None:
        words = self._split(text, first) if self._borders is None else self._borders.findall(text)
        cache = self._cache
        for word in words:
            found = cache.get(word)
            ids += self._encode_word(word) if found is None else found

    def _encode_word(self, word: str) -> list[int]:
        ids = self._bpe(to_alphabet(word.encode("utf-8")) if self._split.byte_level else word)
        if len(word) <= _CACHED_LENGTH:
            if len(self._cache) >= _CACHED_WORDS:
                self._cache.clear()
            self._cache[word] = ids
        return ids

    def to_dict(self) -> dict:
        kept = ("bos_token", "eos_token", "add_bos_token", "add_eos_token", "chat_template")
        config = {name: self.config[name] for name in kept if self.config.get(name) is not None}
        return {"special_tokens": self.special_tokens, "config": config, "tokenizer": self.spec}

    @classmethod
    def from_dict(cls, value: dict) -> "PipelineTokenizer":
        spec, config = value.get("tokenizer"), value.get("config")
        if not isinstance(spec, dict) or not isinstance(config, dict | None):
            raise DataError('"tokenizer" and "config" must be JSON objects')
        return cls(spec, config)


def _word_model(model: dict) -> WordBPE:
    """The BPE model; `type` is missing in old files."""
    kind = model.get("type", "BPE" if "merges" in model else None)
    if kind != "BPE":
        raise DataError(f"tokenizer model {kind!r} is not known here; only BPE is")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise DataError(f"BPE with {name}={model[name]!r} is not known here")
    ids, merges = model["vocab"], model["merges"]
    if not isinstance(ids, dict) or not all(type(i) is int and i >= 0 for i in ids.values()):
        raise DataError('"vocab" must map tokens to ids ≥ 0')
    return WordBPE(
        ids,
        [_pair(merge, rank) for rank, merge in enumerate(merges)],
        unk=model.get("unk_token"),
        fuse_unk=bool(model.get("fuse_unk")),
        byte_fallback=bool(model.get("byte_fallback")),
        ignore_merges=bool(model.get("ignore_merges")),
    )


def _pair(merge: str | Sequence[str], rank: int) -> tuple[str, str]:
    parts = merge.split(" ") if isinstance(merge, str) else merge
    if len(parts) != 2 or not (isinstance(parts[0], str) and isinstance(parts[1], str)):
        raise DataError(f"merge {rank} must be two tokens, not {merge!r}")
    return parts[0], parts[1]
