"""Every op, in small files by family. `FAMILIES` lists them by hand; `rowsums`, `blocks` and
`vectormath` hold what several of them use; `updates` holds the rules of the optimisers; `paged`,
`quantised`, `streamed`, `decoding` and `masses` are the kernels of generation.

The list is tested to be complete. Importing this package imports none of them.
"""

__all__ = ["FAMILIES"]

FAMILIES = (
    "accumulating", "activations", "arithmetic", "arranging", "attending", "bessel", "choices",
    "comparisons", "dropping", "embedding", "exponentials", "extremes", "factors", "gammas",
    "gathers", "likelihood", "logic", "losses", "movement", "normal", "normalization",
    "probability", "products", "rectifiers", "reductions", "rounding", "scans", "solving",
    "sorting", "special", "spread", "trigonometry", "turning", "windows",
)  # fmt: skip
