"""Numbers of generation: a decoder-only transformer's forward pass over a paged cache."""

from descent.generate.decoder.stepping import Decoder, Width

__all__ = ["Decoder", "Width"]
