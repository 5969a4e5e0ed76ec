"""Functions of neural networks under the names of `torch.nn.functional`."""

from descent.nn.functional import activations
from descent.nn.functional.activations import *  # noqa: F403
from descent.nn.functional.attention import scaled_dot_product_attention
from descent.nn.functional.classification import cross_entropy, nll_loss
from descent.nn.functional.dropping import dropout
from descent.nn.functional.embedding import embedding, one_hot
from descent.nn.functional.linear import linear
from descent.nn.functional.norms import layer_norm, rms_norm
from descent.nn.functional.softmaxes import log_softmax, softmax, softmin

__all__ = [
    *activations.__all__,
    "cross_entropy", "dropout", "embedding", "layer_norm", "linear", "log_softmax", "nll_loss",
    "one_hot", "rms_norm", "scaled_dot_product_attention", "softmax", "softmin",
]  # fmt: skip
