"""Generation: from logits to text, one token at a time."""

from descent.generate.completer import Completer, Prompt, PromptError
from descent.generate.engine import Completion, Engine, Handle, Stats
from descent.generate.protocols import LanguageModel, Session, Tokenizer
from descent.generate.sampling import Sampling
from descent.generate.stream import Alternative, Step, complete

__all__ = [
    "Alternative",
    "Completer",
    "Completion",
    "Engine",
    "Handle",
    "LanguageModel",
    "Prompt",
    "PromptError",
    "Sampling",
    "Session",
    "Stats",
    "Step",
    "Tokenizer",
    "complete",
]
