"""A narrower encoder from a wider one: the channels that matter most, with their weights.

Channels are ranked by the product of how strongly they are written (scales of the batch norms, or weights) and read
(weights of the convolutions behind them). The result is a start for training, not a model.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rsdfm_ros.model.encoder import Encoder
from rsdfm_ros.model.layers import ResidualBlock

Rows = dict[str, Tensor]
"""Group of channels → the indices that are kept."""


def narrow_encoder(wide: Encoder, narrow: Encoder) -> None:
    """Copy the most important channels of `wide` into `narrow`, which has the same structure with fewer channels.

    Raises: ValueError if the structures differ.
    """
    source, target = list(_convolutions(wide)), list(_convolutions(narrow))
    if [(c.reads, c.writes) for c in source] != [(c.reads, c.writes) for c in target]:
        raise ValueError("expected encoders of the same structure")
    sizes = {c.writes: c.conv.out_channels for c in target}
    kept = {g: _best(source, g, n) for g, n in sizes.items() if g not in _OUTPUTS}
    with torch.no_grad():
        for a, b in zip(source, target, strict=True):
            rows = kept.get(a.writes, torch.arange(a.conv.out_channels))
            columns = kept.get(a.reads, torch.arange(a.conv.in_channels))
            b.conv.weight.copy_(a.conv.weight[rows][:, columns])
            if a.conv.bias is not None and b.conv.bias is not None:
                b.conv.bias.copy_(a.conv.bias[rows])
            if a.norm is not None and b.norm is not None:
                for name, value in a.norm.state_dict().items():
                    own = b.norm.state_dict()[name]
                    own.copy_(value[rows] if value.dim() else value)


class _Convolution:
    """A convolution with its batch norm, and the groups of channels that it reads and writes."""

    def __init__(self, reads: str, writes: str, conv: nn.Module, norm: nn.Module | None = None) -> None:
        assert isinstance(conv, nn.Conv2d) and (norm is None or isinstance(norm, nn.BatchNorm2d))
        self.reads, self.writes, self.conv, self.norm = reads, writes, conv, norm

    def strength(self) -> Tensor:
        """How strongly each output channel is written."""
        if self.norm is not None:
            return self.norm.weight.abs()
        return self.conv.weight.abs().sum(dim=(1, 2, 3))

    def use(self) -> Tensor:
        """How strongly each input channel is read."""
        return self.conv.weight.abs().sum(dim=(0, 2, 3))


_OUTPUTS = ("features", "logits")


def _best(convolutions: list[_Convolution], group: str, count: int) -> Tensor:
    written = torch.stack([c.strength() for c in convolutions if c.writes == group]).sum(dim=0)
    read = torch.stack([c.use() for c in convolutions if c.reads == group]).sum(dim=0)
    return (written * read).topk(count).indices.sort().values


def _convolutions(encoder: Encoder) -> Iterator[_Convolution]:
    def plain(reads: str, writes: str, pair: nn.Module) -> _Convolution:
        assert isinstance(pair, nn.Sequential)
        return _Convolution(reads, writes, pair[0], pair[1])

    def residual(reads: str, writes: str, name: str, block: nn.Module) -> Iterator[_Convolution]:
        assert isinstance(block, ResidualBlock)
        yield plain(reads, name, block.first)
        yield plain(name, writes, block.second)
        if not isinstance(block.shortcut, nn.Identity):
            yield plain(reads, writes, block.shortcut)

    yield plain("image", "x2", encoder.stem[0])
    yield plain("x2", "x4", encoder.stem[1])
    yield from residual("x4", "x4", "level4", encoder.level4)
    yield from residual("x4", "x8", "level8.0", encoder.level8[0])
    yield from residual("x8", "x8", "level8.1", encoder.level8[1])
    yield from residual("x8", "x16", "level16.0", encoder.level16[0])
    yield from residual("x16", "x16", "level16.1", encoder.level16[1])
    for stride in (4, 8, 16):
        yield _Convolution(f"x{stride}", "pyramid", getattr(encoder, f"lateral{stride}"))
    last = "p0"
    yield plain("pyramid", last, encoder.smooth)
    for n, module in enumerate(encoder.sharpen):
        if isinstance(module, ResidualBlock):
            yield from residual(last, last, f"sharpen.{n}", module)
        else:
            yield plain(last, f"p{n + 1}", module)
            last = f"p{n + 1}"
    for name in _OUTPUTS:
        yield _Convolution(last, name, getattr(encoder, name))
