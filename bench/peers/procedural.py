"""Weights from a formula, so that full-size models can be compared and timed without a file.

The same formula as src/Glip.Managed/Weights/ProceduralWeights.cs: 64-bit mixing of a parameter's name, the seed and the element's
index, scaled by a rule on the name. tests/data holds recordings of the original network with these weights.
"""

import math
import re

import numpy as np
import torch

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15
NORMS = r"(norm|norm1|norm2|norm3|LayerNorm|layer_norm_v|layer_norm_l|bn)"

# pattern, base, amplitude of a shape
RULES = [(re.compile(pattern), base, amplitude) for pattern, base, amplitude in (
    (r"relative_position_bias_table$", 0.0, lambda s: 0.6),
    (NORMS + r"\.weight$", 1.0, lambda s: 0.3),
    (NORMS + r"\.bias$", 0.0, lambda s: 0.2),
    (r"gamma_[vl]$", 0.3, lambda s: 0.15),
    (r"embeddings\.word_embeddings\.weight$", 0.0, lambda s: 0.06),
    (r"embeddings\.(position|token_type)_embeddings\.weight$", 0.0, lambda s: 0.03),
    (r"head\.scales\.\d+\.scale$", 1.0, lambda s: 0.2),
    (r"head\.log_scale$", 0.2, lambda s: 0.1),
    (r"head\.bias0$", -3.0, lambda s: 0.1),
    (r"head\.bias_lang$", 0.0, lambda s: 1.0),
    (r"head\.dot_product_projection_text\.weight$", 0.0, lambda s: 12.0 * math.sqrt(3.0 / s[0])),
    (r"head\.bbox_pred\.weight$", 0.0, lambda s: fan(s, 4.0)),
    (r"AttnConv\.1\.weight$", 0.0, lambda s: fan(s, 3.0)),
    (r"\.offset\.weight$", 0.0, lambda s: fan(s, 1.0)),
    (r"\.relu\.fc\.\d\.weight$", 0.0, lambda s: fan(s, 3.0)),
    (r"(attn\.qkv|self\.query|self\.key|attn\.v_proj|attn\.l_proj)\.weight$", 0.0, lambda s: fan(s, 1.4)),
    (r"\.bias$", 0.0, lambda s: 0.1),
    (r"", 0.0, lambda s: fan(s, 1.0)),
)]


def fan(shape, gain):
    return gain * math.sqrt(3.0 / (math.prod(shape[1:]) if len(shape) > 1 else 1))


def mix(z):
    z = z ^ (z >> 30)
    z = z * 0xBF58476D1CE4E5B9 & MASK
    z = z ^ (z >> 27)
    z = z * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def mix_array(z):
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def parameter(name, shape, seed):
    """float32 array of a parameter"""
    hash_ = 0xCBF29CE484222325
    for byte in name.encode():
        hash_ = (hash_ ^ byte) * 0x100000001B3 & MASK
    key = mix(hash_ ^ (seed * GAMMA & MASK))
    base, amplitude = next((base, amplitude) for pattern, base, amplitude in RULES if pattern.search(name))
    count = math.prod(shape)
    values = np.empty(count, np.float32)
    block = 1 << 20
    for start in range(0, count, block):
        stop = min(start + block, count)
        z = np.arange(start + 1, stop + 1, dtype=np.uint64)
        z *= np.uint64(GAMMA)
        z += np.uint64(key)
        z = mix_array(z)
        z >>= np.uint64(40)
        values[start:stop] = z.astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    values *= np.float32(amplitude(shape))
    if base:
        values += np.float32(base)
    return values.reshape(shape)


@torch.no_grad()
def fill(model, seed):
    """Gives every parameter of a model its procedural value."""
    for name, value in model.named_parameters():
        value.copy_(torch.from_numpy(parameter(name, tuple(value.shape), seed)))
    return model
