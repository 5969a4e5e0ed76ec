"""Channels into places and back."""

from __future__ import annotations

from typing import Any

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """[…, C r², H, W] → […, C, H r, W r]. Shi et al. 2016, arXiv:1609.05158."""
    r, shape = upscale_factor, input.array.shape
    if len(shape) < 3 or r <= 0 or shape[-3] % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input {list(shape)} is not, with upscale_factor={r}"
        )
    lead, (c, h, w) = shape[:-3], shape[-3:]
    n = len(lead)
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    x = x.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)  # […, C, H, r, W, r]
    return x.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """The inverse of `pixel_shuffle`."""
    r, shape = downscale_factor, input.array.shape
    if len(shape) < 3 or r <= 0 or shape[-1] % r or shape[-2] % r:
        raise RuntimeError(
            "pixel_unshuffle expects height and width to be divisible by downscale_factor, but "
            f"input {list(shape)} is not, with downscale_factor={r}"
        )
    lead, (c, h, w) = shape[:-3], shape[-3:]
    n = len(lead)
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    x = x.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)  # […, C, r, r, H, W]
    return x.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input: Any, groups: int) -> Any:
    """Interleave the groups of channels. Zhang et al. 2017, arXiv:1707.01083."""
    shape = input.array.shape
    if len(shape) < 3 or groups <= 0 or shape[1] % groups:
        raise RuntimeError(
            f"channel_shuffle: {groups} groups do not divide the channels of {list(shape)}"
        )
    x = input.reshape(shape[0], groups, shape[1] // groups, *shape[2:])
    return x.transpose(1, 2).reshape(shape)
