"""Functions of neural networks under the names of `torch.nn.functional`."""

from descent.nn.functional import activations
from descent.nn.functional.activations import *  # noqa: F403
from descent.nn.functional.attention import scaled_dot_product_attention
from descent.nn.functional.classification import cross_entropy, nll_loss
from descent.nn.functional.convolution import conv1d, conv2d, conv3d, unfold
from descent.nn.functional.distances import (
    cosine_similarity,
    normalize,
    pairwise_distance,
    pdist,
)
from descent.nn.functional.dropping import (
    alpha_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from descent.nn.functional.embedding import embedding, one_hot
from descent.nn.functional.gumbel import gumbel_softmax
from descent.nn.functional.linear import bilinear, linear
from descent.nn.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from descent.nn.functional.margins import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    triplet_margin_loss,
)
from descent.nn.functional.norms import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)
from descent.nn.functional.padding import pad
from descent.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from descent.nn.functional.rearranging import channel_shuffle, pixel_shuffle, pixel_unshuffle
from descent.nn.functional.rotary import rotary
from descent.nn.functional.softmaxes import log_softmax, softmax, softmin

__all__ = [
    *activations.__all__, "gumbel_softmax",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "alpha_dropout", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "batch_norm", "bilinear", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "channel_shuffle", "conv1d", "conv2d", "conv3d",
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "dropout", "dropout1d",
    "dropout2d", "dropout3d", "embedding", "feature_alpha_dropout", "gaussian_nll_loss",
    "group_norm", "hinge_embedding_loss", "huber_loss", "instance_norm", "kl_div", "l1_loss",
    "layer_norm", "linear", "local_response_norm", "log_softmax", "margin_ranking_loss",
    "max_pool1d", "max_pool2d", "max_pool3d", "mse_loss", "multi_margin_loss",
    "multilabel_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "normalize", "one_hot",
    "pad", "pairwise_distance", "pdist", "pixel_shuffle", "pixel_unshuffle", "poisson_nll_loss",
    "rms_norm", "rotary", "scaled_dot_product_attention", "smooth_l1_loss", "soft_margin_loss",
    "softmax", "softmin", "triplet_margin_loss", "unfold",
]  # fmt: skip
