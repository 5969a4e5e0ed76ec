"""Descent: from a live ML service down to the single multiplication and its derivative.

The floors, bottom up: `descent.scalar` (Value), `descent.ops`, tensors and autograd (this
namespace, under PyTorch's names), `descent.nn`, `descent.optim`, `descent.models`, `descent.train`,
`descent.serve`, and `descent up GOAL` on the command line.
"""

from descent.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from descent.dtypes import (
    bool_ as bool,
)
from descent.dtypes import (
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)

# creation
from descent.random import Generator, default_generator, initial_seed, manual_seed, seed

# reductions, scans, sorting
from descent.tensor import (
    Size,
    Tensor,
    activating,
    comparing,
    conjugating,
    device,
    extremes,
    pointwise,
    reducing,
    rounding,
    scanning,
    sorting,
)
from descent.tensor import special as tensor_special

# movement and joining
# indexing and gathering
# elementwise
from descent.tensor.activating import *  # noqa: F403
from descent.tensor.arranging import (
    as_strided,
    diag,
    diag_embed,
    diagflat,
    diagonal,
    flip,
    fliplr,
    flipud,
    repeat_interleave,
    roll,
    rot90,
    tile,
    tril,
    triu,
)
from descent.tensor.comparing import *  # noqa: F403
from descent.tensor.conjugating import *  # noqa: F403

# products, probability
from descent.tensor.contractions import chain_matmul, einsum, kron, tensordot
from descent.tensor.copying import (
    alias_copy,
    as_strided_copy,
    diagonal_copy,
    expand_copy,
    permute_copy,
    split_with_sizes_copy,
    squeeze_copy,
    t_copy,
    transpose_copy,
    unbind_copy,
    unfold_copy,
    unsqueeze_copy,
    view_copy,
)
from descent.tensor.counting import bincount, histc, histogram, unique, unique_consecutive
from descent.tensor.creating import (
    as_tensor,
    asarray,
    empty,
    empty_like,
    empty_permuted,
    empty_strided,
    fill,
    from_dlpack,
    from_numpy,
    frombuffer,
    full,
    full_like,
    is_tensor,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from descent.tensor.differences import cumulative_trapezoid, diff, gradient, trapezoid, trapz
from descent.tensor.extremes import *  # noqa: F403
from descent.tensor.factoring import cholesky, det, logdet, matrix_power, slogdet
from descent.tensor.factoring import inv as inverse
from descent.tensor.gathering import (
    argwhere,
    gather,
    index_add,
    index_copy,
    index_fill,
    index_put,
    index_select,
    masked_scatter,
    masked_select,
    nonzero,
    put,
    scatter,
    scatter_add,
    take,
    take_along_dim,
    unravel_index,
)
from descent.tensor.joining import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    cat,
    chunk,
    column_stack,
    concat,
    concatenate,
    dsplit,
    dstack,
    hsplit,
    hstack,
    split,
    split_with_sizes,
    stack,
    tensor_split,
    unbind,
    vsplit,
    vstack,
)
from descent.tensor.kinds import (
    can_cast,
    finfo,
    iinfo,
    is_floating_point,
    promote_types,
    result_type,
)
from descent.tensor.measuring import cdist, dist, norm, renorm
from descent.tensor.pointwise import *  # noqa: F403
from descent.tensor.printing import get_printoptions, printoptions, set_printoptions
from descent.tensor.probability import log_softmax, softmax
from descent.tensor.products import (
    addbmm,
    addmm,
    addmv,
    addr,
    baddbmm,
    bmm,
    cross,
    dot,
    ger,
    inner,
    matmul,
    mm,
    mv,
    outer,
    trace,
    vdot,
)
from descent.tensor.quantiles import nanquantile, quantile
from descent.tensor.randomness import (
    bernoulli,
    get_rng_state,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    set_rng_state,
)
from descent.tensor.ranges import (
    arange,
    block_diag,
    cartesian_prod,
    combinations,
    eye,
    linspace,
    logspace,
    meshgrid,
    tril_indices,
    triu_indices,
)
from descent.tensor.reducing import *  # noqa: F403
from descent.tensor.rounding import *  # noqa: F403
from descent.tensor.scanning import *  # noqa: F403
from descent.tensor.scattering import index_reduce, scatter_reduce
from descent.tensor.searching import bucketize, isin, searchsorted
from descent.tensor.shaping import (
    broadcast_shapes,
    broadcast_tensors,
    broadcast_to,
    clone,
    flatten,
    movedim,
    numel,
    permute,
    ravel,
    reshape,
    squeeze,
    swapaxes,
    t,
    transpose,
    unflatten,
    unsqueeze,
)
from descent.tensor.size import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from descent.tensor.slicing import (
    diagonal_scatter,
    narrow,
    narrow_copy,
    select,
    select_scatter,
    slice_scatter,
)
from descent.tensor.sorting import *  # noqa: F403
from descent.tensor.special import *  # noqa: F403

moveaxis, swapdims = movedim, swapaxes
unsafe_chunk, unsafe_split = chunk, split
float, double, half, long, int, short = float32, float64, float16, int64, int32, int16


def __getattr__(name: str):
    """The floors above the tensor are loaded when first used: `descent.nn`, `descent.compile`."""
    if name in ("linalg", "nn", "optim", "special"):
        import importlib

        return importlib.import_module(f"descent.{name}")
    if name == "compile":
        from descent.compiler.step import compile

        return compile
    if name == "replay":
        from descent.compiler.scalars import replay

        return replay
    if name == "finetune":  # by name: this module lies below every floor
        import importlib

        return importlib.import_module("descent.goals.finetune_call").finetune
    raise AttributeError(f"module 'descent' has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "can_cast", "finfo", "iinfo", "is_floating_point", "promote_types", "result_type",
    "get_printoptions", "printoptions", "set_printoptions",
    "channels_last", "channels_last_3d", "contiguous_format", "layout", "memory_format",
    "preserve_format", "strided",
    "Size", "Tensor", "device", "dtype", "bool", "double", "float", "float16", "float32", "float64",
    "half", "int", "int8", "int16", "int32", "int64", "long", "short", "uint8",
    "enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled",
    "get_default_dtype", "set_default_dtype",
    "as_tensor", "asarray", "empty", "empty_like", "empty_permuted", "empty_strided", "fill",
    "from_dlpack", "from_numpy", "frombuffer", "full", "full_like", "is_tensor", "ones",
    "ones_like", "scalar_tensor", "tensor", "zeros", "zeros_like",  # creation
    "arange", "block_diag", "cartesian_prod", "combinations", "eye", "linspace", "logspace",
    "meshgrid", "tril_indices", "triu_indices",
    "Generator", "bernoulli", "default_generator", "get_rng_state", "initial_seed", "manual_seed",
    "multinomial", "normal", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like",
    "randperm", "seed", "set_rng_state",  # random
    "as_strided", "diag", "diag_embed", "diagflat", "diagonal", "flip", "fliplr", "flipud",
    "repeat_interleave", "roll", "rot90", "tile", "tril", "triu",  # movement
    "argwhere", "gather", "index_add", "index_copy", "index_fill", "index_put", "index_select",
    "masked_scatter", "masked_select", "nonzero", "put", "scatter", "scatter_add", "take",
    "take_along_dim", "unravel_index", "index_reduce", "scatter_reduce",
    "bucketize", "isin", "searchsorted",
    "diagonal_scatter", "narrow", "narrow_copy", "select", "select_scatter", "slice_scatter",
    "alias_copy", "as_strided_copy", "diagonal_copy", "expand_copy", "permute_copy",
    "split_with_sizes_copy", "squeeze_copy", "t_copy", "transpose_copy", "unbind_copy",
    "unfold_copy", "unsqueeze_copy", "view_copy",  # gathers, slices, copies
    "atleast_1d", "atleast_2d", "atleast_3d", "cat", "chunk", "column_stack", "concat",
    "concatenate", "dsplit", "dstack", "hsplit", "hstack", "split", "split_with_sizes", "stack",
    "tensor_split", "unbind", "unsafe_chunk", "unsafe_split", "vsplit", "vstack",  # joining
    *activating.__all__, *comparing.__all__, *conjugating.__all__, *pointwise.__all__,
    *rounding.__all__, *tensor_special.__all__,  # elementwise
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cross", "dot", "ger", "inner", "matmul",
    "mm", "mv", "outer", "trace", "vdot", "log_softmax", "softmax",
    "chain_matmul", "einsum", "kron", "tensordot",
    *reducing.__all__, *extremes.__all__, *scanning.__all__, *sorting.__all__,
    "cdist", "dist", "norm", "renorm", "quantile", "nanquantile", "cumulative_trapezoid", "diff",
    "gradient", "trapezoid", "trapz", "bincount", "histc", "histogram", "unique",
    "unique_consecutive", "cholesky", "det", "inverse", "logdet", "matrix_power", "slogdet",
    # reductions, scans, sorting, norms, counting, matrices
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "clone", "flatten",
    "moveaxis", "movedim", "numel", "permute", "ravel", "reshape", "squeeze", "swapaxes",
    "swapdims", "t", "transpose", "unflatten", "unsqueeze",  # shapes
]  # fmt: skip
