"""Constraints on the text: regular expressions, JSON schemas, choices; as masks over tokens."""

from descent.generate.constrain.errors import ConstraintError
from descent.generate.constrain.guide import Guide, Guides, automaton_of

__all__ = ["ConstraintError", "Guide", "Guides", "automaton_of"]
