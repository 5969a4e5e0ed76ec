"""Kernels: plain Python functions that run compiled, and what they may be written with.

`compiled`   a function and its compiled form, kept on disk: the only door to Numba
`lanes`      sixteen float32 at once, the processor's vector registers under plain names
`amx`        the tiles of Intel's matrix unit
`atomics`    reads, writes and counts that threads can rely on
`processor`  which of its units this machine has
"""

from descent.kernel.compiled import Kernel, compiling, kernel, kernel_key, prange, vectorized

__all__ = ["Kernel", "compiling", "kernel", "kernel_key", "prange", "vectorized"]
