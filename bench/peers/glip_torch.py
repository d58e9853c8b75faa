"""GLIP in PyTorch, inference only: the opponent that a Python user has. Modules are named as in the checkpoints.

`Glip(config, fusion="plain")` computes what the published code computes, in its order. `fusion="folded"` multiplies the wide
projections of the fusion into the text first (exact up to rounding). Text may be padded, with a mask, or have real tokens only.

check_glip.py compares it with the recordings that the tests of the library use. One picture at a time (N = 1).
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

FPN_LEVELS = ("P3", "P4", "P5", "P6", "P7")
CLAMP = 50000.0


@dataclasses.dataclass(frozen=True)
class Config:
    embed: int = 96
    depths: tuple = (2, 2, 6, 2)
    heads: tuple = (3, 6, 12, 24)
    window: int = 7
    channels: int = 256
    layers: int = 6
    fused: bool = True
    text_layers: int = 12
    text_width: int = 768
    text_heads: int = 12
    text_inner: int = 3072
    vocabulary: int = 30522
    fusion_heads: int = 8
    fusion_width: int = 2048


CONFIGS = {
    "glip-t": Config(),
    "glip-t-a": Config(fused=False),
    "glip-l": Config(embed=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=12, layers=8),
}


class Recorder:
    """Intermediate results by their names in the recordings, kept while it is `Recorder.current`."""

    current = None

    def __init__(self):
        self.results = {}


def record(name, value):
    if Recorder.current is not None:
        Recorder.current.results[name] = value


# ---- Swin ----------------------------------------------------------------------------------------------------------------


def relative_position_index(window):
    """[window², window²]: the row of the bias table for each pair of cells."""
    rows, columns = torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")
    rows, columns = rows.flatten(), columns.flatten()
    return (rows[:, None] - rows + window - 1) * (2 * window - 1) + columns[:, None] - columns + window - 1


def shift_mask(height, width, window):
    """[windows, window², window²]: -100 between cells that only the cyclic shift made neighbours."""
    shift = window // 2
    band = lambda size: torch.bucketize(torch.arange(size), torch.tensor([size - window, size - shift]), right=True)
    labels = partition((3 * band(height)[:, None] + band(width)).view(1, height, width, 1), window).squeeze(-1)
    return (labels[:, :, None] != labels[:, None, :]) * -100.0


def shape(x):
    """A tensor's shape as plain numbers: an exported graph then has fixed shapes and does not work them out anew."""
    return [int(size) for size in x.shape]


def pad(x, right, bottom):
    """Zeros beside and below a map [1, H, W, C]; no operation at all where none are needed."""
    return F.pad(x, (0, 0, 0, right, 0, bottom)) if right or bottom else x


def partition(x, window):
    """[1, H, W, C] -> [windows, window², C]"""
    _, h, w, c = shape(x)
    windows = (h // window) * (w // window)
    return x.view(h // window, window, w // window, window, c).permute(0, 2, 1, 3, 4).reshape(windows, window * window, c)


def unpartition(x, window, h, w):
    c = shape(x)[2]
    return x.view(h // window, w // window, window, window, c).permute(0, 2, 1, 3, 4).reshape(1, h, w, c)


def tokens(x):
    """[1, H, W, C] -> [1, H·W, C]"""
    _, h, w, c = shape(x)
    return x.view(1, h * w, c)


class WindowAttention(nn.Module):
    def __init__(self, width, window, heads):
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x, mask):
        windows, n, c = shape(x)
        q, k, v = self.qkv(x).view(windows, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, self.heads).permute(2, 0, 1)
        scores = (q * self.scale) @ k.transpose(-2, -1) + bias
        if mask is not None:
            scores = scores + mask[:, None]
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(windows, n, c))


class Mlp(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    def __init__(self, width, window, heads, shifted):
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, window, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def attention(self, x, h, w):
        """x + attention(LN(x)), x [1, H·W, C]"""
        c = shape(x)[2]
        padded_h, padded_w = (-(-size // self.window) * self.window for size in (h, w))
        y = pad(self.norm1(x).view(1, h, w, c), padded_w - w, padded_h - h)
        mask = None
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
            mask = shift_mask(padded_h, padded_w, self.window)
        y = unpartition(self.attn(partition(y, self.window), mask), self.window, padded_h, padded_w)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        return x + y[:, :h, :w].reshape(1, h * w, c)

    def forward(self, x, h, w):
        x = self.attention(x, h, w)
        return x + self.mlp(self.norm2(x))


class PatchMerging(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x, h, w):
        x = pad(x.view(1, h, w, shape(x)[2]), w % 2, h % 2)
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return tokens(self.reduction(self.norm(x)))


class SwinStage(nn.Module):
    def __init__(self, width, depth, heads, window, last):
        super().__init__()
        self.blocks = nn.ModuleList(SwinBlock(width, window, heads, i % 2 == 1) for i in range(depth))
        if not last:
            self.downsample = PatchMerging(width)


class PatchEmbed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, 4)
        self.norm = nn.LayerNorm(width)

    def forward(self, image):
        x = self.proj(image)
        _, c, h, w = shape(x)
        return self.norm(x.view(1, c, h * w).transpose(1, 2)), h, w


class Swin(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.patch_embed = PatchEmbed(config.embed)
        self.layers = nn.ModuleList(
            SwinStage(config.embed << s, depth, heads, config.window, s == 3)
            for s, (depth, heads) in enumerate(zip(config.depths, config.heads)))
        for s in (1, 2, 3):
            setattr(self, f"norm{s}", nn.LayerNorm(config.embed << s))

    def forward(self, image):
        """C3, C4, C5 as [1, C, H, W]"""
        x, h, w = self.patch_embed(image)
        record("body.patch_embed", x.transpose(1, 2).view(1, -1, h, w))
        maps = []
        for s, stage in enumerate(self.layers):
            for b, block in enumerate(stage.blocks):
                x = block(x, h, w)
                record(f"body.layers.{s}.blocks.{b}", x)
            if s > 0:
                maps.append(getattr(self, f"norm{s}")(x).view(1, h, w, shape(x)[2]).permute(0, 3, 1, 2).contiguous())
                record(f"body.out.stage{s + 2}", maps[-1])
            if s < 3:
                x = stage.downsample(x, h, w)
                h, w = (h + 1) // 2, (w + 1) // 2
                record(f"body.layers.{s}.downsample", x)
        return maps


# ---- FPN -----------------------------------------------------------------------------------------------------------------


class TopBlocks(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.p6 = nn.Conv2d(c, c, 3, 2, 1)
        self.p7 = nn.Conv2d(c, c, 3, 2, 1)


def nearest(x, like):
    return F.interpolate(x, size=shape(like)[2:], mode="nearest")


class Fpn(nn.Module):
    def __init__(self, widths, c):
        super().__init__()
        for i, width in enumerate(widths, 2):
            setattr(self, f"fpn_inner{i}", nn.Conv2d(width, c, 1))
            setattr(self, f"fpn_layer{i}", nn.Conv2d(c, c, 3, 1, 1))
        self.top_blocks = TopBlocks(c)

    def forward(self, c3, c4, c5):
        m5 = self.fpn_inner4(c5)
        m4 = self.fpn_inner3(c4) + nearest(m5, c4)
        m3 = self.fpn_inner2(c3) + nearest(m4, c3)
        p5 = self.fpn_layer4(m5)
        p6 = self.top_blocks.p6(p5)
        maps = [self.fpn_layer2(m3), self.fpn_layer3(m4), p5, p6, self.top_blocks.p7(F.relu(p6))]
        for name, x in zip(FPN_LEVELS, maps):
            record(f"fpn.{name}", x)
        return maps


class Backbone(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.body = Swin(config)
        self.fpn = Fpn([config.embed << s for s in (1, 2, 3)], config.channels)

    def forward(self, image):
        return self.fpn(*self.body(image))


# ---- BERT ----------------------------------------------------------------------------------------------------------------


class BertSelfAttention(nn.Module):
    def __init__(self, width, heads, clamped):
        super().__init__()
        self.heads, self.clamped = heads, clamped
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, x, mask):
        _, n, c = shape(x)
        split = lambda y: y.view(1, n, self.heads, c // self.heads).transpose(1, 2)
        scores = split(self.query(x)) @ split(self.key(x)).transpose(-1, -2) / math.sqrt(c // self.heads)
        if self.clamped:
            scores = scores.clamp(-CLAMP, CLAMP)
        if mask is not None:
            scores = scores + mask
        return (scores.softmax(-1) @ split(self.value(x))).transpose(1, 2).reshape(1, n, c)


class BertOutput(nn.Module):
    def __init__(self, inner, width):
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)


class BertAttention(nn.Module):
    def __init__(self, width, heads, clamped):
        super().__init__()
        self.self = BertSelfAttention(width, heads, clamped)
        self.output = BertOutput(width, width)


class BertIntermediate(nn.Module):
    def __init__(self, width, inner):
        super().__init__()
        self.dense = nn.Linear(width, inner)


class BertLayer(nn.Module):
    """`clamped` for the text layers of the tower; x [1, T, C], mask added to the scores or None."""

    def __init__(self, width, heads, inner, clamped=False):
        super().__init__()
        self.attention = BertAttention(width, heads, clamped)
        self.intermediate = BertIntermediate(width, inner)
        self.output = BertOutput(inner, width)
        self.clamped = clamped

    def forward(self, x, mask=None):
        clamp = (lambda y: y.clamp(-CLAMP, CLAMP)) if self.clamped else (lambda y: y)
        x = self.attention.output.LayerNorm(self.attention.output.dense(self.attention.self(x, mask)) + x)
        y = clamp(F.gelu(clamp(self.intermediate.dense(x))))
        return clamp(self.output.LayerNorm(clamp(self.output.dense(y)) + x))


class BertEmbeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocabulary, config.text_width)
        self.position_embeddings = nn.Embedding(512, config.text_width)
        self.token_type_embeddings = nn.Embedding(2, config.text_width)
        self.LayerNorm = nn.LayerNorm(config.text_width, eps=1e-12)

    def forward(self, ids):
        n = shape(ids)[1]
        return self.LayerNorm(self.word_embeddings(ids) + self.token_type_embeddings.weight[0] + self.position_embeddings.weight[:n])


class BertEncoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(config.text_width, config.text_heads, config.text_inner) for _ in range(config.text_layers))


class Bert(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embeddings = BertEmbeddings(config)
        self.encoder = BertEncoder(config)

    def forward(self, ids, mask):
        x = self.embeddings(ids)
        record("bert.embeddings", x)
        for i, layer in enumerate(self.encoder.layer):
            x = layer(x, mask)
            record(f"bert.layer.{i}", x)
        return x


# ---- Fusion --------------------------------------------------------------------------------------------------------------


class BiMultiHeadAttention(nn.Module):
    def __init__(self, visual, text, width, heads):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.v_proj = nn.Linear(visual, width)
        self.l_proj = nn.Linear(text, width)
        self.values_v_proj = nn.Linear(visual, width)
        self.values_l_proj = nn.Linear(text, width)
        self.out_v_proj = nn.Linear(width, visual)
        self.out_l_proj = nn.Linear(width, text)

    def split(self, x):
        """[n, width] -> [heads, n, size]"""
        return x.view(shape(x)[0], self.heads, self.size).transpose(0, 1)

    def merge(self, x):
        return x.transpose(0, 1).reshape(shape(x)[1], self.heads * self.size)

    def plain(self, x, text, mask):
        """x [A, C], text [T, C'], mask [T] added to the image's scores or None -> what both gain."""
        q = self.split(self.v_proj(x) * self.size**-0.5)
        k, visual_values, text_values = self.split(self.l_proj(text)), self.split(self.values_v_proj(x)), self.split(self.values_l_proj(text))
        scores = torch.bmm(q, k.transpose(1, 2)).clamp(-CLAMP, CLAMP)
        turned = scores.transpose(1, 2)
        turned = (turned - turned.max(-1, keepdim=True)[0]).clamp(-CLAMP, CLAMP)
        if mask is not None:
            scores = scores + mask
        to_image = torch.bmm(scores.softmax(-1), text_values)
        to_text = torch.bmm(turned.softmax(-1), visual_values)
        return self.out_v_proj(self.merge(to_image)), self.out_l_proj(self.merge(to_text))

    def folded(self, x, text):
        """The same without a map of `width` channels: each product of two projections is taken on the text's side."""
        (n, c), t, heads, size = shape(x), shape(text)[0], self.heads, self.size
        k = self.split(self.l_proj(text) * size**-0.5)
        weight = lambda linear: linear.weight.view(heads, size, c)
        keys = torch.bmm(k, weight(self.v_proj)).view(heads * t, c)
        key_bias = (k * self.v_proj.bias.view(heads, 1, size)).sum(-1).view(heads * t)
        scores = (x @ keys.t() + key_bias).clamp(-CLAMP, CLAMP)
        out = self.out_v_proj.weight.t().reshape(heads, size, c)
        values = torch.bmm(self.split(self.values_l_proj(text)), out).view(heads * t, c)
        to_image = scores.view(n, heads, t).softmax(-1).view(n, heads * t) @ values + self.out_v_proj.bias
        gathered = (scores.t().softmax(-1) @ x).view(heads, t, c)
        to_text = torch.bmm(gathered, weight(self.values_v_proj).transpose(1, 2)) + self.values_v_proj.bias.view(heads, 1, size)
        return to_image, self.out_l_proj(self.merge(to_text))


class BiAttentionBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.layer_norm_v = nn.LayerNorm(config.channels)
        self.layer_norm_l = nn.LayerNorm(config.text_width)
        self.attn = BiMultiHeadAttention(config.channels, config.text_width, config.fusion_width, config.fusion_heads)
        self.gamma_v = nn.Parameter(torch.empty(config.channels))
        self.gamma_l = nn.Parameter(torch.empty(config.text_width))


def rows(x):
    """[1, C, H, W] -> [H·W, C]"""
    _, c, h, w = shape(x)
    return x.reshape(c, h * w).t()


class VLFuse(nn.Module):
    def __init__(self, config, folded):
        super().__init__()
        self.b_attn = BiAttentionBlock(config)
        self.folded = folded

    def forward(self, maps, text, keep):
        block = self.b_attn
        x = block.layer_norm_v(torch.cat([rows(m) for m in maps]))
        text = block.layer_norm_l(text[0])
        if self.folded:
            dx, dl = block.attn.folded(x, text)
        else:
            mask = None if keep is None else torch.where(keep[0] == 0, torch.full((), -9e15), torch.ones(()))
            dx, dl = block.attn.plain(x, text, mask)
        x = (x + block.gamma_v * dx).t()
        parts = x.split([math.prod(shape(m)[2:]) for m in maps], 1)
        return [part.reshape(shape(m)) for part, m in zip(parts, maps)], (text + block.gamma_l * dl)[None]


# ---- DyHead --------------------------------------------------------------------------------------------------------------


class DeformConv(nn.Module):
    """A modulated deformable convolution and its norm."""

    def __init__(self, c, stride):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(c, c, 3, stride, 1)
        self.bn = nn.GroupNorm(16, c)

    def forward(self, x, offsets, mask):
        """Offsets and mask of another size than the output's are read as flat memory of that size, as the original does."""
        h, w = ((size + self.stride - 1) // self.stride for size in shape(x)[2:])
        if shape(offsets)[2:] != [h, w]:
            offsets = offsets.reshape(math.prod(shape(offsets)))[: 18 * h * w].view(1, 18, h, w)
            mask = mask.reshape(math.prod(shape(mask)))[: 9 * h * w].view(1, 9, h, w)
        y = torchvision.ops.deform_conv2d(x, offsets, self.conv.weight, self.conv.bias, self.stride, 1, 1, mask)
        return self.bn(y)


class DyRelu(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(c, c // 4), nn.ReLU(), nn.Linear(c // 4, 4 * c))

    def forward(self, x):
        theta = F.hardsigmoid(self.fc(x.mean((2, 3))))
        a1, b1, a2, b2 = theta.view(4, 1, shape(x)[1], 1, 1)
        return torch.maximum(x * (2 * a1) + (b1 - 0.5), x * (2 * a2 - 1) + (b2 - 0.5))


class DyConv(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.DyConv = nn.ModuleList(DeformConv(c, stride) for stride in (1, 1, 2))
        self.AttnConv = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, 1, 1), nn.ReLU())
        self.relu = DyRelu(c)
        self.offset = nn.Conv2d(c, 27, 3, 1, 1)

    def forward(self, maps):
        coarser, own, finer = self.DyConv
        results = []
        for level, x in enumerate(maps):
            o = self.offset(x)
            offsets, mask = o[:, :18], o[:, 18:].sigmoid()
            branches = [own(x, offsets, mask)]
            if level > 0:
                branches.append(finer(maps[level - 1], offsets, mask))
            if level < len(maps) - 1:
                small = coarser(maps[level + 1], offsets, mask)
                branches.append(F.interpolate(small, size=shape(x)[2:], mode="bilinear", align_corners=True))
            weighted = [F.hardsigmoid(self.AttnConv(branch)) * branch for branch in branches]
            results.append(self.relu(sum(weighted[1:], weighted[0]) / len(branches)))
        return results


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


class Head(nn.Module):
    def __init__(self, config, folded):
        super().__init__()
        c, tower = config.channels, []
        for _ in range(config.layers):
            if config.fused:
                tower += [VLFuse(config, folded), BertLayer(config.text_width, config.text_heads, config.text_inner, clamped=True)]
            tower.append(DyConv(c))
        self.dyhead_tower = nn.Sequential(*tower)
        self.bbox_pred = nn.Conv2d(c, 4, 1)
        self.centerness = nn.Conv2d(c, 1, 1)
        self.dot_product_projection_text = nn.Linear(config.text_width, c)
        self.log_scale = nn.Parameter(torch.empty(1))
        self.bias_lang = nn.Parameter(torch.empty(config.text_width))
        self.bias0 = nn.Parameter(torch.empty(1))
        self.scales = nn.ModuleList(Scale() for _ in FPN_LEVELS)

    def forward(self, maps, text, keep, mask):
        for index, module in enumerate(self.dyhead_tower):
            name = f"tower.{index}.{'BertEncoderLayer' if isinstance(module, BertLayer) else type(module).__name__}"
            if isinstance(module, VLFuse):
                maps, text = module(maps, text, keep)
            elif isinstance(module, BertLayer):
                text = module(text, mask)
            else:
                maps = module(maps)
            if not isinstance(module, DyConv):
                record(f"{name}.hidden", text)
            if not isinstance(module, BertLayer):
                for level, x in zip(FPN_LEVELS, maps):
                    record(f"{name}.visual.{level}", x)
        text = F.normalize(text[0], dim=-1, eps=1e-12)
        keys = self.dot_product_projection_text(text / 2).t() / self.log_scale.exp()
        bias = text @ self.bias_lang + self.bias0
        boxes, centerness, logits = [], [], []
        for level, (name, x) in enumerate(zip(FPN_LEVELS, maps)):
            boxes.append(self.bbox_pred(x) * self.scales[level].scale)
            centerness.append(self.centerness(x))
            logits.append((rows(x) @ keys + bias).clamp(-CLAMP, CLAMP)[None])
            record(f"head.bbox_reg.{name}", boxes[-1])
            record(f"head.centerness.{name}", centerness[-1])
            record(f"head.dot_product_logits.{name}", logits[-1])
        return boxes, centerness, logits


# ---- The whole -----------------------------------------------------------------------------------------------------------


class Wrapper(nn.Module):
    """A level of the checkpoint's names."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            setattr(self, name, child)


class Glip(nn.Module):
    def __init__(self, config, fusion="plain"):
        super().__init__()
        self.fused = config.fused
        self.backbone = Backbone(config)
        self.language_backbone = Wrapper(body=Wrapper(model=Bert(config)))
        self.rpn = Wrapper(head=Head(config, fusion == "folded"))

    def forward(self, image, ids, keep=None):
        """image [1, 3, H, W], normalised and padded to multiples of 32; ids [1, T] int64; keep [1, T] int64, 1 for tokens, 0 for padding.

        -> per level P3..P7: boxes [1, 4, H, W], centerness [1, 1, H, W], logits [1, H·W, T], as one flat tuple.
        """
        maps = self.backbone(image)
        mask = None if keep is None else (1.0 - keep.float())[:, None, None, :] * -10000.0
        text = self.language_backbone.body.model(ids, mask)
        record("lang.hidden", text)
        if not self.fused and keep is not None:
            text = text * keep[:, :, None]
        boxes, centerness, logits = self.rpn.head(maps, text, keep, mask)
        return (*boxes, *centerness, *logits)
