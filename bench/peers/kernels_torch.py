"""The kernels of `glip-bench shapes` as PyTorch modules: what PyTorch runs, and what is exported for ONNX Runtime.

Shapes are written as glip-bench writes them: dimensions with x between them, then modifiers, each a letter and a number.
"""

import re

import torch
import torchvision
from torch import nn

import glip_torch

# kernel -> number of dimensions, letters of modifiers
GRAMMAR = {"gemm": (3, ""), "conv": (4, "ksp"), "dcn": (4, "s"), "window": (3, "hws"), "bert": (2, "hf"), "mha": (2, "h"), "bi": (3, "h")}


def parse(kernel, shape):
    """The dimensions, and the modifiers by letter."""
    if kernel not in GRAMMAR:
        raise ValueError(f"kernel '{kernel}': expected one of {', '.join(GRAMMAR)}")
    count, letters = GRAMMAR[kernel]
    match = re.fullmatch(r"(\d+(?:x\d+)*)((?:[a-wyz]\d+)*)", shape)
    dimensions = [int(part) for part in match[1].split("x")] if match else []
    modifiers = {text[0]: int(text[1:]) for text in re.findall(r"[a-z]\d+", match[2])} if match else {}
    if len(dimensions) != count or set(modifiers) - set(letters):
        raise ValueError(f"{kernel} shape '{shape}': expected {count} dimensions and modifiers of '{letters}'")
    return dimensions, modifiers


class BlockAttention(nn.Module):
    """The attention half of a Swin block."""

    def __init__(self, height, width, channels, heads, window, shift):
        super().__init__()
        if shift not in (0, window // 2):
            raise ValueError(f"windows of {window} cells are shifted by 0 or {window // 2}, found {shift}")
        self.height, self.width = height, width
        self.block = glip_torch.SwinBlock(channels, window, heads, shift > 0)
        del self.block.norm2, self.block.mlp

    def forward(self, x):
        return self.block.attention(x, self.height, self.width)


class SelfAttention(nn.Module):
    """Scores, softmax and weighted values, without projections: qkv [1, L, 3 C] -> [1, L, C]."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, qkv):
        q, k, v = (x.view(1, x.shape[1], self.heads, -1).transpose(1, 2) for x in qkv.chunk(3, -1))
        y = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        return y.transpose(1, 2).reshape(1, qkv.shape[1], -1)


class FoldedFusion(nn.Module):
    """Attention both ways between cells and text, the projections already folded into the text's matrices."""

    def __init__(self, heads):
        super().__init__()
        self.heads = heads

    def forward(self, x, keys, key_bias, values, bias):
        scores = (x @ keys.t() + key_bias).clamp(-glip_torch.CLAMP, glip_torch.CLAMP)
        to_image = scores.view(x.shape[0], self.heads, -1).softmax(-1).view(x.shape[0], -1) @ values + bias
        return x + to_image, scores.t().softmax(-1) @ x


def build(kernel, shape):
    """A module with weights of mean size 1/√depth, and its example inputs, always the same."""
    torch.manual_seed(1)
    noise = lambda *size: torch.rand(size) * 2 - 1
    n, modifiers = parse(kernel, shape)
    if kernel == "gemm":
        module, inputs = nn.Linear(n[2], n[1]), (noise(n[0], n[2]),)
    elif kernel == "conv":
        side = modifiers.get("k", 3)
        module = nn.Conv2d(n[2], n[3], side, modifiers.get("s", 1), side // 2 if side % 2 else 0)
        inputs = (noise(1, n[2], n[0], n[1]),)
    elif kernel == "dcn":
        stride = modifiers.get("s", 1)
        h, w = -(-n[0] // stride), -(-n[1] // stride)
        module = torchvision.ops.DeformConv2d(n[2], n[3], 3, stride, 1)
        inputs = (noise(1, n[2], n[0], n[1]), 2 * noise(1, 18, h, w), noise(1, 9, h, w).abs())
    elif kernel == "window":
        heads, window = modifiers.get("h", max(1, n[2] // 32)), modifiers.get("w", 7)
        module = BlockAttention(*n, heads, window, modifiers.get("s", 0))
        inputs = (noise(1, n[0] * n[1], n[2]),)
    elif kernel == "bert":
        module = glip_torch.BertLayer(n[1], modifiers.get("h", max(1, n[1] // 64)), modifiers.get("f", 4 * n[1]))
        inputs = (noise(1, n[0], n[1]),)
    elif kernel == "mha":
        module, inputs = SelfAttention(modifiers.get("h", max(1, n[1] // 64))), (noise(1, n[0], 3 * n[1]),)
    else:
        heads = modifiers.get("h", 8)
        rows = heads * n[2]
        module = FoldedFusion(heads)
        inputs = (noise(n[0], n[1]), noise(rows, n[1]) / n[1] ** 0.5, noise(rows), noise(rows, n[1]), noise(n[1]))
    for name, value in module.named_parameters():
        if "norm" not in name.lower():
            value.data.uniform_(-1, 1).mul_(value[0].numel() ** -0.5 if value.dim() > 1 else 0.1)
    return module.eval(), inputs
