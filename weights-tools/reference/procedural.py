"""Weights by formula, and the names and shapes of GLIP's parameters: what ProceduralWeights and ParameterList are in C#."""
import math
import re

import numpy as np

GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1

TINY = dict(embed=96, depths=[2, 2, 6, 2], heads=[3, 6, 12, 24], window=7, channels=256, layers=6, hidden=768, bert_layers=12,
            ffn=3072, vocab=30522, positions=512, fused=True, inner=2048, classes=80)
PUBLISHED = {
    "glip-t-a": {**TINY, "fused": False},
    "glip-t-b": TINY, "glip-t-c": TINY, "glip-t": TINY,
    "glip-l": {**TINY, "embed": 192, "depths": [2, 2, 18, 2], "heads": [6, 12, 24, 48], "window": 12, "layers": 8},
}

# (regular expression, base, amplitude from the shape); the first that matches counts.
_fan = lambda gain: lambda shape: gain * math.sqrt(3.0 / math.prod(shape[1:]))
RULES = [
    (r"relative_position_bias_table$", 0, lambda s: 0.6),
    (r"(norm|norm1|norm2|norm3|LayerNorm|layer_norm_v|layer_norm_l|bn)\.weight$", 1, lambda s: 0.3),
    (r"(norm|norm1|norm2|norm3|LayerNorm|layer_norm_v|layer_norm_l|bn)\.bias$", 0, lambda s: 0.2),
    (r"gamma_[vl]$", 0.3, lambda s: 0.15),
    (r"embeddings\.word_embeddings\.weight$", 0, lambda s: 0.06),
    (r"embeddings\.(position|token_type)_embeddings\.weight$", 0, lambda s: 0.03),
    (r"head\.scales\.\d+\.scale$", 1, lambda s: 0.2),
    (r"head\.log_scale$", 0.2, lambda s: 0.1),
    (r"head\.bias0$", -3, lambda s: 0.1),
    (r"head\.bias_lang$", 0, lambda s: 1),
    (r"head\.dot_product_projection_text\.weight$", 0, lambda s: 12 * math.sqrt(3.0 / s[0])),
    (r"head\.bbox_pred\.weight$", 0, _fan(4)),
    (r"AttnConv\.1\.weight$", 0, _fan(3)),
    (r"\.offset\.weight$", 0, _fan(1)),
    (r"\.relu\.fc\.\d\.weight$", 0, _fan(3)),
    (r"(attn\.qkv|self\.query|self\.key|attn\.v_proj|attn\.l_proj)\.weight$", 0, _fan(1.4)),
    (r"\.bias$", 0, lambda s: 0.1),
    (r"", 0, _fan(1)),
]


def _mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def values(name, shape, seed):
    """The parameter's elements, float32."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001B3) & MASK
    with np.errstate(over="ignore"):
        key = _mix(np.array([key ^ (seed * GAMMA & MASK)], np.uint64))[0]
        count = math.prod(shape)
        index = np.arange(1, count + 1, dtype=np.uint64)
        z = _mix(key + index * np.uint64(GAMMA))
    u = (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    _, base, amplitude = next(rule for rule in RULES if re.search(rule[0], name))
    result = u * np.float32(amplitude(shape))
    return (result + np.float32(base) if base else result).reshape(shape)


def _linear(name, out, inp):
    return [(name + ".weight", [out, inp]), (name + ".bias", [out])]


def _conv(name, out, inp, side):
    return [(name + ".weight", [out, inp, side, side]), (name + ".bias", [out])]


def _affine(name, width):
    return [(name + ".weight", [width]), (name + ".bias", [width])]


def _bert_layer(name, hidden, ffn):
    return [
        *_linear(name + ".attention.self.query", hidden, hidden), *_linear(name + ".attention.self.key", hidden, hidden),
        *_linear(name + ".attention.self.value", hidden, hidden), *_linear(name + ".attention.output.dense", hidden, hidden),
        *_affine(name + ".attention.output.LayerNorm", hidden), *_linear(name + ".intermediate.dense", ffn, hidden),
        *_linear(name + ".output.dense", hidden, ffn), *_affine(name + ".output.LayerNorm", hidden)]


def state_dict(config):
    """(name, shape, kind) of every entry that the original's state dict has, in its order; kind is "parameter" or the buffer's dtype."""
    entries = []
    add = lambda items, kind="parameter": entries.extend((name, shape, kind) for name, shape in items)
    body, window = "backbone.body.", config["window"]
    add(_conv(body + "patch_embed.proj", config["embed"], 3, 4) + _affine(body + "patch_embed.norm", config["embed"]))
    for stage, (depth, heads) in enumerate(zip(config["depths"], config["heads"])):
        width = config["embed"] << stage
        for i in range(depth):
            block = f"{body}layers.{stage}.blocks.{i}."
            add(_affine(block + "norm1", width))
            add([(block + "attn.relative_position_bias_table", [(2 * window - 1) ** 2, heads])])
            add([(block + "attn.relative_position_index", [window**2, window**2])], "int64")
            add(_linear(block + "attn.qkv", 3 * width, width) + _linear(block + "attn.proj", width, width))
            add(_affine(block + "norm2", width) + _linear(block + "mlp.fc1", 4 * width, width) + _linear(block + "mlp.fc2", width, 4 * width))
        if stage < 3:
            down = f"{body}layers.{stage}.downsample."
            add([(down + "reduction.weight", [2 * width, 4 * width])] + _affine(down + "norm", 4 * width))
    for stage in (1, 2, 3):
        add(_affine(f"{body}norm{stage}", config["embed"] << stage))

    channels, hidden = config["channels"], config["hidden"]
    for level in (2, 3, 4):
        add(_conv(f"backbone.fpn.fpn_inner{level}", channels, config["embed"] << (level - 1), 1))
        add(_conv(f"backbone.fpn.fpn_layer{level}", channels, channels, 3))
    add(_conv("backbone.fpn.top_blocks.p6", channels, channels, 3) + _conv("backbone.fpn.top_blocks.p7", channels, channels, 3))

    bert = "language_backbone.body.model."
    add([(bert + "embeddings.position_ids", [1, config["positions"]])], "int64")
    add([(bert + "embeddings.word_embeddings.weight", [config["vocab"], hidden]),
         (bert + "embeddings.position_embeddings.weight", [config["positions"], hidden]),
         (bert + "embeddings.token_type_embeddings.weight", [2, hidden])] + _affine(bert + "embeddings.LayerNorm", hidden))
    for i in range(config["bert_layers"]):
        add(_bert_layer(f"{bert}encoder.layer.{i}", hidden, config["ffn"]))

    head = "rpn.head."
    add([(head + "log_scale", [1]), (head + "bias_lang", [hidden]), (head + "bias0", [1])])
    module = 0
    for _ in range(config["layers"]):
        if config["fused"]:
            fuse, inner = f"{head}dyhead_tower.{module}.b_attn.", config["inner"]
            add([(fuse + "gamma_v", [channels]), (fuse + "gamma_l", [hidden])])
            add(_affine(fuse + "layer_norm_v", channels) + _affine(fuse + "layer_norm_l", hidden))
            add(_linear(fuse + "attn.v_proj", inner, channels) + _linear(fuse + "attn.l_proj", inner, hidden))
            add(_linear(fuse + "attn.values_v_proj", inner, channels) + _linear(fuse + "attn.values_l_proj", inner, hidden))
            add(_linear(fuse + "attn.out_v_proj", channels, inner) + _linear(fuse + "attn.out_l_proj", hidden, inner))
            add(_bert_layer(f"{head}dyhead_tower.{module + 1}", hidden, config["ffn"]))
            module += 2
        tower = f"{head}dyhead_tower.{module}."
        module += 1
        for branch in range(3):
            add(_conv(f"{tower}DyConv.{branch}.conv", channels, channels, 3) + _affine(f"{tower}DyConv.{branch}.bn", channels))
        add(_conv(tower + "AttnConv.1", 1, channels, 1))
        add(_linear(tower + "relu.fc.0", channels // 4, channels) + _linear(tower + "relu.fc.2", 4 * channels, channels // 4))
        add(_conv(tower + "offset", 27, channels, 3))
    add(_conv(head + "cls_logits", config["classes"], channels, 1) + _conv(head + "bbox_pred", 4, channels, 1) + _conv(head + "centerness", 1, channels, 1))
    add(_linear(head + "dot_product_projection_text", channels, hidden))
    add([(f"{head}scales.{level}.scale", [1]) for level in range(5)])
    add([(f"rpn.anchor_generator.cell_anchors.{level}", [1, 4]) for level in range(5)], "float32")
    return entries


def from_json(config):
    """Sizes out of a configuration as FORMAT.md describes it."""
    bert, swin = config["bert"], config["swin"]
    return dict(embed=swin["EMBED_DIM"], depths=swin["DEPTHS"], heads=swin["NUM_HEADS"], window=swin["WINDOW_SIZE"], channels=config["channels"],
                layers=config["num_convs"], hidden=bert["hidden_size"], bert_layers=bert["num_hidden_layers"], ffn=bert["intermediate_size"],
                vocab=bert["vocab_size"], positions=bert.get("max_position_embeddings", 512), fused=config.get("early_fuse", False),
                inner=(config.get("fusion") or {}).get("embed_dim", 0), classes=80)


def buffer(name, shape, kind):
    """What the original's buffers hold; inference computes them anew, so only their presence matters."""
    if name.endswith("position_ids"):
        return np.arange(shape[1], dtype=np.int64)[None]
    if "cell_anchors" in name:
        stride = 8 << int(name[-1])
        return np.array([[-3.5 * stride, -3.5 * stride, 4.5 * stride - 1, 4.5 * stride - 1]], np.float32)
    return np.zeros(shape, kind)
