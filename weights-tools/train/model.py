"""A small GLIP with the original's parameter names and topology: Swin, FPN, BERT, deep fusion, DyHead, ATSS head."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from kernels import attention_block, conv3, fusion_attention, group_norm, linear, mlp_block

STRIDES = (8, 16, 32, 64, 128)
ANCHOR_SCALE = 4

CONFIG = {
    "config": "glip-nano",
    "swin": {"EMBED_DIM": 32, "DEPTHS": [2, 2, 4, 2], "NUM_HEADS": [2, 4, 8, 16], "WINDOW_SIZE": 7},
    "channels": 64,
    "num_convs": 2,
    "bert": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256,
             "max_position_embeddings": 256},
    "fusion": {"n_head": 4, "embed_dim": 128},
    "early_fuse": True,
    "use_fused_features_dot_product": True,
    "group_norm_groups": 16,
    "anchor_scale": ANCHOR_SCALE,
}


class Linear(nn.Linear):
    def forward(self, x):
        return linear(x, self.weight, self.bias if self.bias is not None else torch.zeros(self.out_features))


# ---------------------------------------------------------------- image backbone

class Mlp(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc1, self.fc2 = Linear(width, 4 * width), Linear(4 * width, width)


class WindowAttention(nn.Module):
    def __init__(self, width, window, heads):
        super().__init__()
        assert width // heads == 16 and window == 7, "the kernels are for heads of 16 channels and windows of 7"
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        grid = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = grid[:, :, None] - grid[:, None, :] + window - 1
        self.register_buffer("relative_position_index", apart[0] * (2 * window - 1) + apart[1])
        self.qkv, self.proj = Linear(width, 3 * width), Linear(width, width)

    def bias(self):
        n = self.relative_position_index.shape[0]
        return self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, -1).permute(2, 0, 1)


class SwinBlock(nn.Module):
    def __init__(self, width, heads, window, shift):
        super().__init__()
        self.shift = shift
        self.norm1, self.attn = nn.LayerNorm(width), WindowAttention(width, window, heads)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x, height, width):
        a, m = self.attn, self.mlp
        x = attention_block(x, height, width, self.shift, self.norm1.weight, self.norm1.bias, a.qkv.weight, a.qkv.bias, a.bias(),
                            a.proj.weight, a.proj.bias)
        return mlp_block(x, self.norm2.weight, self.norm2.bias, m.fc1.weight, m.fc1.bias, m.fc2.weight, m.fc2.bias)


class PatchMerging(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.reduction, self.norm = Linear(4 * width, 2 * width, bias=False), nn.LayerNorm(4 * width)

    def forward(self, x, height, width):
        x = F.pad(x.view(x.shape[0], height, width, -1), (0, 0, 0, width % 2, 0, height % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.reduction(self.norm(x.flatten(1, 2)))


class SwinStage(nn.Module):
    def __init__(self, width, depth, heads, window, last):
        super().__init__()
        self.blocks = nn.ModuleList([SwinBlock(width, heads, window, window // 2 if i % 2 else 0) for i in range(depth)])
        self.downsample = None if last else PatchMerging(width)


class PatchEmbed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.proj, self.norm = nn.Conv2d(3, width, 4, 4), nn.LayerNorm(width)


class Swin(nn.Module):
    def __init__(self, EMBED_DIM, DEPTHS, NUM_HEADS, WINDOW_SIZE):
        super().__init__()
        self.patch_embed = PatchEmbed(EMBED_DIM)
        self.layers = nn.ModuleList(
            [SwinStage(EMBED_DIM << i, DEPTHS[i], NUM_HEADS[i], WINDOW_SIZE, i == 3) for i in range(4)])
        for i in (1, 2, 3):
            setattr(self, f"norm{i}", nn.LayerNorm(EMBED_DIM << i))
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.trunc_normal_(m.weight, std=m.in_features ** -.5)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
        self._start_local(WINDOW_SIZE)

    def _start_local(self, window):
        """Every head begins by looking at one neighbour (as in ConViT): from scratch this learns much faster."""
        away = [(0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (1, 1), (-1, 1), (1, -1),
                (0, 0), (0, 2), (2, 0), (0, -2), (-2, 0), (2, 2), (-2, -2), (2, -2)]
        y, x = torch.meshgrid(torch.arange(1 - window, window).float(), torch.arange(1 - window, window).float(), indexing="ij")
        count = 0
        for block in (b for stage in self.layers for b in stage.blocks):
            table = block.attn.relative_position_bias_table.data
            for head in range(table.shape[1]):
                dy, dx = away[count % len(away)]
                table[:, head] = (-.7 * ((y + dy) ** 2 + (x + dx) ** 2)).clamp(min=-6).view(-1)
                count += 1
            block.attn.qkv.weight.data[:2 * block.attn.proj.in_features] *= .3
            block.attn.proj.weight.data *= .7
            block.mlp.fc2.weight.data *= .7

    def forward(self, image):
        x = self.patch_embed.proj(image)
        height, width = x.shape[2:]
        x, maps = self.patch_embed.norm(x.flatten(2).transpose(1, 2)), []
        for i, stage in enumerate(self.layers):
            for block in stage.blocks:
                x = block(x, height, width)
            if i:
                maps.append(getattr(self, f"norm{i}")(x).view(x.shape[0], height, width, -1))
            if stage.downsample is not None:
                x, height, width = stage.downsample(x, height, width), (height + 1) // 2, (width + 1) // 2
        return maps


# Maps are [B, H, W, C] from here on.

class Conv3(nn.Conv2d):
    """3 × 3, padding 1; output channels are padded to a multiple of 16 for the kernel"""

    def __init__(self, inner, outer, stride=1):
        super().__init__(inner, outer, 3, stride, 1)

    def forward(self, x):
        more = -self.out_channels % 16
        w, b = (F.pad(self.weight, (0, 0) * 3 + (0, more)), F.pad(self.bias, (0, more))) if more else (self.weight, self.bias)
        return conv3(x, None, None, w, b, self.stride[0])


class Conv1(nn.Conv2d):
    def __init__(self, inner, outer):
        super().__init__(inner, outer, 1)

    def forward(self, x):
        return linear(x, self.weight.flatten(1), self.bias)


class TopBlocks(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.p6, self.p7 = Conv3(c, c, 2), Conv3(c, c, 2)

    def forward(self, p5):
        p6 = self.p6(p5)
        return [p6, self.p7(F.relu(p6))]


def resized(x, size, **how):
    return F.interpolate(x.permute(0, 3, 1, 2), size=size, **how).permute(0, 2, 3, 1)


class FeaturePyramid(nn.Module):
    def __init__(self, widths, c):
        super().__init__()
        for i, width in zip((2, 3, 4), widths):
            setattr(self, f"fpn_inner{i}", Conv1(width, c))
            setattr(self, f"fpn_layer{i}", Conv3(c, c))
        self.top_blocks = TopBlocks(c)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_uniform_(m.weight, a=1)
                nn.init.zeros_(m.bias)

    def forward(self, maps):
        down = self.fpn_inner4(maps[2])
        levels = [self.fpn_layer4(down)]
        for i in (3, 2):
            side = getattr(self, f"fpn_inner{i}")(maps[i - 2])
            down = side + resized(down, side.shape[1:3], mode="nearest")
            levels.insert(0, getattr(self, f"fpn_layer{i}")(down))
        return levels + self.top_blocks(levels[-1])


class Backbone(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["swin"]["EMBED_DIM"]
        self.body, self.fpn = Swin(**config["swin"]), FeaturePyramid([2 * width, 4 * width, 8 * width], config["channels"])

    def forward(self, image):
        return self.fpn(self.body(image))


# ---------------------------------------------------------------- text

class BertSelf(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.query, self.key, self.value = Linear(width, width), Linear(width, width), Linear(width, width)


class BertOutput(nn.Module):
    def __init__(self, inner, width, norm=True):
        super().__init__()
        self.dense = Linear(inner, width)
        if norm:
            self.LayerNorm = nn.LayerNorm(width, eps=1e-12)


class BertAttention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.self, self.output = BertSelf(width), BertOutput(width, width)


class BertLayer(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads = heads
        self.attention = BertAttention(width)
        self.intermediate, self.output = BertOutput(width, inner, norm=False), BertOutput(inner, width)

    def forward(self, x, hide):
        """x [B, T, width]; hide [B, 1, 1, T]: 0, or -10000 at padding"""
        split = lambda t: t.view(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)
        s, o = self.attention.self, self.attention.output
        q, k, v = split(s.query(x)), split(s.key(x)), split(s.value(x))
        weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + hide).softmax(-1)
        x = o.LayerNorm(o.dense((weights @ v).transpose(1, 2).reshape(x.shape)) + x)
        return self.output.LayerNorm(self.output.dense(F.gelu(self.intermediate.dense(x))) + x)


class BertEmbeddings(nn.Module):
    def __init__(self, vocabulary, width, positions):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width, padding_idx=0)
        self.position_embeddings, self.token_type_embeddings = nn.Embedding(positions, width), nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)


class BertModel(nn.Module):
    def __init__(self, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size, vocab_size, max_position_embeddings):
        super().__init__()
        self.embeddings = BertEmbeddings(vocab_size, hidden_size, max_position_embeddings)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(
            [BertLayer(hidden_size, num_attention_heads, intermediate_size) for _ in range(num_hidden_layers)])
        for m in self.modules():
            if isinstance(m, (nn.Linear, nn.Embedding)):
                nn.init.normal_(m.weight, 0, .02)
        nn.init.normal_(self.embeddings.word_embeddings.weight, 0, .05)
        nn.init.normal_(self.embeddings.position_embeddings.weight, 0, .005)
        nn.init.zeros_(self.embeddings.token_type_embeddings.weight)

    def forward(self, ids, mask):
        e = self.embeddings
        x = e.LayerNorm(e.word_embeddings(ids) + e.position_embeddings.weight[:ids.shape[1]] + e.token_type_embeddings.weight[0])
        for layer in self.encoder.layer:
            x = layer(x, hide(mask))
        return x


def hide(mask):
    return (1 - mask[:, None, None]) * -10000.


# ---------------------------------------------------------------- fusion and head

class BiAttention(nn.Module):
    def __init__(self, v_width, l_width, inner, heads):
        super().__init__()
        self.heads = heads
        self.v_proj, self.l_proj = Linear(v_width, inner), Linear(l_width, inner)
        self.values_v_proj, self.values_l_proj = Linear(v_width, inner), Linear(l_width, inner)
        self.out_v_proj, self.out_l_proj = Linear(inner, v_width), Linear(inner, l_width)
        for m in self.children():
            nn.init.xavier_uniform_(m.weight)
            nn.init.zeros_(m.bias)

    def forward(self, v, l, mask):
        # Padding is hidden from the image; the text side's padding rows are read by nobody.
        ov, ol = fusion_attention(self.v_proj(v), self.l_proj(l), self.values_v_proj(v), self.values_l_proj(l), mask, self.heads)
        return self.out_v_proj(ov), self.out_l_proj(ol)


class BiAttentionBlock(nn.Module):
    def __init__(self, v_width, l_width, inner, heads, start):
        super().__init__()
        self.layer_norm_v, self.layer_norm_l = nn.LayerNorm(v_width), nn.LayerNorm(l_width)
        self.attn = BiAttention(v_width, l_width, inner, heads)
        self.gamma_v, self.gamma_l = nn.Parameter(start * torch.ones(v_width)), nn.Parameter(start * torch.ones(l_width))


class Fusion(nn.Module):
    def __init__(self, v_width, l_width, inner, heads, layers):
        super().__init__()
        self.b_attn = BiAttentionBlock(v_width, l_width, inner, heads, 1 / layers)

    def forward(self, levels, l, mask):
        b = self.b_attn
        v, l = b.layer_norm_v(flat(levels)), b.layer_norm_l(l)
        dv, dl = b.attn(v, l, mask)
        return unflat(v + b.gamma_v * dv, levels), l + b.gamma_l * dl


def flat(levels):
    """Maps -> [B, N, C]"""
    return torch.cat([x.flatten(1, 2) for x in levels], 1)


def unflat(v, like):
    return [p.reshape(x.shape) for p, x in zip(v.split([x.shape[1] * x.shape[2] for x in like], 1), like)]


def hard_sigmoid(x):
    return F.relu6(x + 3) / 6


class DynamicRelu(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Sequential(Linear(c, c // 4), nn.ReLU(), Linear(c // 4, 4 * c))

    def forward(self, x):
        a1, b1, a2, b2 = (hard_sigmoid(self.fc(x.mean((1, 2)))) - .5)[:, None, None].chunk(4, -1)
        return torch.max(torch.addcmul(b1, x, a1 * 2 + 1), torch.addcmul(b2, x, a2 * 2))


class DeformParameters(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(c, c, 3, 3) / math.sqrt(27 * c)), nn.Parameter(torch.zeros(c))


class DeformNorm(nn.Module):
    def __init__(self, c, stride, groups):
        super().__init__()
        self.conv, self.bn, self.stride = DeformParameters(c), nn.GroupNorm(groups, c), stride

    def forward(self, x, offset, mask):
        x = conv3(x, offset, mask, self.conv.weight, self.conv.bias, self.stride)
        return group_norm(x, self.bn.weight, self.bn.bias, self.bn.num_groups)


class DyConv(nn.Module):
    def __init__(self, c, groups):
        super().__init__()
        self.DyConv = nn.ModuleList([DeformNorm(c, 1, groups), DeformNorm(c, 1, groups), DeformNorm(c, 2, groups)])
        self.AttnConv = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, 1, 1), nn.ReLU())
        self.relu, self.offset = DynamicRelu(c), Conv3(c, 27)
        nn.init.normal_(self.AttnConv[1].weight, 0, .01)
        nn.init.zeros_(self.AttnConv[1].bias)
        nn.init.normal_(self.offset.weight, 0, .001)
        nn.init.zeros_(self.offset.bias)

    def forward(self, levels):
        out = []
        for i, x in enumerate(levels):
            moves = self.offset(x).permute(0, 3, 1, 2)
            offset, mask = moves[:, :18], moves[:, 18:27].sigmoid()
            parts = [self.DyConv[1](x, offset, mask)]
            if i > 0:
                parts.append(self.DyConv[2](levels[i - 1], offset, mask))
            if i + 1 < len(levels):
                # The original hands the offsets of this map to the smaller one, whose kernel reads them flat.
                coarse = self.DyConv[0](levels[i + 1], offset, mask)
                parts.append(resized(coarse, x.shape[1:3], mode="bilinear", align_corners=True))
            attention = self.AttnConv[1]
            mixed = 0
            for p in parts:
                share = hard_sigmoid(F.relu(F.linear(p.mean((1, 2)), attention.weight.flatten(1), attention.bias)))
                mixed = mixed + p * (share / len(parts))[:, None, None]
            out.append(self.relu(mixed))
        return out


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


class Head(nn.Module):
    def __init__(self, config):
        super().__init__()
        c, bert, fusion = config["channels"], config["bert"], config["fusion"]
        l = bert["hidden_size"]
        tower = []
        for _ in range(config["num_convs"]):
            tower += [Fusion(c, l, fusion["embed_dim"], fusion["n_head"], config["num_convs"]),
                      BertLayer(l, bert["num_attention_heads"], bert["intermediate_size"]),
                      DyConv(c, config["group_norm_groups"])]
        self.dyhead_tower = nn.ModuleList(tower)
        self.bbox_pred, self.centerness = nn.Conv2d(c, 4, 1), nn.Conv2d(c, 1, 1)
        self.dot_product_projection_text = Linear(l, c)
        self.log_scale, self.bias_lang = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(l))
        self.bias0 = nn.Parameter(torch.tensor([-math.log(99.)]))
        self.scales = nn.ModuleList([Scale() for _ in STRIDES])
        for m in (self.bbox_pred, self.centerness):
            nn.init.normal_(m.weight, 0, .01)
            nn.init.zeros_(m.bias)

    def forward(self, levels, l, mask):
        """-> logits [B, N, T], box deltas [B, N, 4], centerness [B, N], sizes of the maps"""
        for i in range(0, len(self.dyhead_tower), 3):
            levels, l = self.dyhead_tower[i](levels, l, mask)
            l = self.dyhead_tower[i + 1](l, hide(mask))
            levels = self.dyhead_tower[i + 2](levels)
        e = F.normalize(l, dim=-1)
        token = self.dot_product_projection_text(e / 2) / self.log_scale.exp()
        v = flat(levels)
        logits = v @ token.transpose(1, 2) + (e @ self.bias_lang + self.bias0)[:, None]
        sizes = [tuple(x.shape[1:3]) for x in levels]
        scale = torch.cat([s.scale.expand(h * w) for s, (h, w) in zip(self.scales, sizes)])
        boxes = F.linear(v, self.bbox_pred.weight.flatten(1), self.bbox_pred.bias) * scale[None, :, None]
        centerness = F.linear(v, self.centerness.weight.flatten(1), self.centerness.bias)[..., 0]
        return logits.clamp(-50000, 50000), boxes, centerness, sizes


class Glip(nn.Module):
    def __init__(self, vocabulary: int, config=CONFIG):
        super().__init__()
        bert = dict(config["bert"], vocab_size=vocabulary)
        self.backbone = Backbone(config)
        self.language_backbone = nn.Module()
        self.language_backbone.body = nn.Module()
        self.language_backbone.body.model = BertModel(**bert)
        self.rpn = nn.Module()
        self.rpn.head = Head(config)

    def text(self, ids, mask):
        return self.language_backbone.body.model(ids, mask)

    def forward(self, image, ids, mask):
        return self.rpn.head(self.backbone(image), self.text(ids, mask), mask)

    def load(self, state) -> None:
        """Takes a state dict of the same sizes, or of a smaller vocabulary: further words start as they are."""
        state = {k.removeprefix("module."): v for k, v in state.items()}
        words = "language_backbone.body.model.embeddings.word_embeddings.weight"
        mine = self.state_dict()
        known = state[words]
        state[words] = torch.cat([known, mine[words][len(known):]])
        self.load_state_dict(state)


# ---------------------------------------------------------------- boxes

_anchors = {}


def anchors(sizes):
    """[N, 4] anchors of all cells (x1, y1, x2, y2; widths are x2 - x1 + 1), and the number of cells of each level"""
    key = tuple(sizes)
    if key not in _anchors:
        parts = []
        for (h, w), stride in zip(sizes, STRIDES):
            centre, half = (stride - 1) / 2, (stride * ANCHOR_SCALE - 1) / 2
            y, x = torch.meshgrid(torch.arange(h) * stride + centre, torch.arange(w) * stride + centre, indexing="ij")
            parts.append(torch.stack([x - half, y - half, x + half, y + half], -1).view(-1, 4))
        _anchors[key] = torch.cat(parts), [len(p) for p in parts]
    return _anchors[key]


def decode(deltas, boxes):
    w, h = boxes[..., 2] - boxes[..., 0] + 1, boxes[..., 3] - boxes[..., 1] + 1
    top = math.log(1000 / 16)
    x = deltas[..., 0] / 10 * w + (boxes[..., 0] + boxes[..., 2]) / 2
    y = deltas[..., 1] / 10 * h + (boxes[..., 1] + boxes[..., 3]) / 2
    w, h = (deltas[..., 2] / 5).clamp(max=top).exp() * w, (deltas[..., 3] / 5).clamp(max=top).exp() * h
    return torch.stack([x - .5 * (w - 1), y - .5 * (h - 1), x + .5 * (w - 1), y + .5 * (h - 1)], -1)
