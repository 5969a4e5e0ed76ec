"""Data: files to text, text to tokens, tokens to batches. NumPy in, NumPy out; knows no Tensor."""

from descent.data.corpus import split_documents, standard_library
from descent.data.errors import DataError
from descent.data.fetch import fetch
from descent.data.loader import BatchSampler, Windows, encode_documents
from descent.data.text import ReadReport, read_text

__all__ = [
    "DataError",
    "read_text", "ReadReport", "fetch", "standard_library", "split_documents",
    "encode_documents", "Windows", "BatchSampler",
]  # fmt: skip
