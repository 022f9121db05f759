"""Encoders and decoders of vectors and images: multilayer perceptron and convolution."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import paddle
from paddle import nn

from ..activations import get_activation
from ..linear import Linear


class MLP(nn.Layer):
    """Linear maps with an activation between them: an encoder [b, ...] -> [b, f] or a decoder [b, d] -> [b, ...].

    ``sizes``: numbers a layer, input first and output last; anything behind the batch axis is flattened first.
    ``output_shape`` gives the output the shape of the data, without the batch: it must hold ``sizes[-1]`` numbers.
    Raises ValueError for fewer than two sizes, sizes below 1, a shape of another size, and an input of another size.
    """

    def __init__(self, sizes: Sequence[int], *, activation: str = "relu", output_shape: Sequence[int] | None = None):
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes must be at least two numbers from 1, input and output, found {list(sizes)}: give e.g. [784, 256, 32]")
        if output_shape is not None and math.prod(output_shape) != sizes[-1]:
            raise ValueError(f"output_shape {list(output_shape)} does not hold the {sizes[-1]} numbers of the last size: make them agree")
        self.input_size, self.output_size = sizes[0], sizes[-1]
        self.output_shape = None if output_shape is None else list(output_shape)
        self.activation = get_activation(activation)
        self.layers = nn.LayerList([Linear(before, after) for before, after in itertools.pairwise(sizes)])

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = x.flatten(start_axis=1)  # [b, input]
        if x.shape[1] != self.input_size:
            raise ValueError(f"this MLP takes {self.input_size} numbers an example, found {x.shape[1]}: make it with sizes[0]={x.shape[1]}")
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))  # [b, size]
        x = self.layers[-1](x)  # [b, output]
        return x if self.output_shape is None else x.reshape([-1, *self.output_shape])  # [b, ...]


class ConvolutionEncoder(nn.Layer):
    """Square images [b, c, s, s] to features [b, f]: one convolution a width (kernel 4, stride 2), each halving the side.

    ``widths``: channels after each of them. f is ``widths[-1] * (s / 2^n)^2`` for n widths, the attribute ``output_size``.
    Raises ValueError for a side that 2^n does not divide, and images of another shape.
    """

    def __init__(self, channels: int, side: int, *, widths: Sequence[int] = (32, 64), activation: str = "relu"):
        super().__init__()
        smallest = _smallest_side(channels, side, widths)
        self.shape = [channels, side, side]
        self.output_size = widths[-1] * smallest * smallest
        self.activation = get_activation(activation)
        ends = [channels, *widths]
        self.layers = nn.LayerList([nn.Conv2D(a, b, 4, stride=2, padding=1) for a, b in itertools.pairwise(ends)])

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        if images.ndim != 4 or list(images.shape[1:]) != self.shape:
            raise ValueError(f"images must be [b, {', '.join(map(str, self.shape))}], found {list(images.shape)}: resize or reshape them")
        for layer in self.layers:
            images = self.activation(layer(images))  # [b, width, s/2^i, s/2^i]
        return images.flatten(start_axis=1)  # [b, f]


class ConvolutionDecoder(nn.Layer):
    """Codes [b, d] to square images [b, c, s, s]: a linear map, then one transposed convolution a width, each doubling the side.

    ``widths``: channels before each of them, so that an encoder's widths reversed mirror it. The last has no activation.
    Raises ValueError for a side that 2^n does not divide, and codes of another size.
    """

    def __init__(self, latent_size: int, channels: int, side: int, *, widths: Sequence[int] = (64, 32), activation: str = "relu"):
        super().__init__()
        if latent_size < 1:
            raise ValueError(f"latent_size must be at least 1, found {latent_size}: give the size of the codes")
        self.latent_size = latent_size
        self.start = [widths[0] if widths else 0] + [_smallest_side(channels, side, widths)] * 2
        self.activation = get_activation(activation)
        self.grow = Linear(latent_size, math.prod(self.start))
        ends = [*widths, channels]
        self.layers = nn.LayerList([nn.Conv2DTranspose(a, b, 4, stride=2, padding=1) for a, b in itertools.pairwise(ends)])

    def forward(self, z: paddle.Tensor) -> paddle.Tensor:
        if z.ndim != 2 or z.shape[1] != self.latent_size:
            raise ValueError(f"codes must be [b, {self.latent_size}], found {list(z.shape)}: use unsqueeze(0) for one code")
        images = self.grow(z).reshape([-1, *self.start])  # [b, width, s/2^n, s/2^n]
        for layer in self.layers:
            images = layer(self.activation(images))  # [b, width, s/2^i, s/2^i]
        return images  # [b, c, s, s]


def _smallest_side(channels: int, side: int, widths: Sequence[int]) -> int:
    if channels < 1 or side < 1 or not widths or min(widths) < 1:
        raise ValueError(f"channels, side and widths must be from 1, found {channels}, {side} and {list(widths)}: give e.g. 1, 28 and (32, 64)")
    factor = 1 << len(widths)
    if side % factor:
        raise ValueError(
            f"{len(widths)} widths halve the side {len(widths)} times, but {factor} does not divide {side}: "
            f"pad the images to {side + factor - side % factor} or give fewer widths"
        )
    return side // factor
