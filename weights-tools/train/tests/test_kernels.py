"""The C kernels against plain PyTorch in single precision. Tiles of bfloat16 are coarser: their errors are of that size."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import torch
import torch.nn.functional as F

import kernels

TOLERANCE = 1e-4 if os.environ.get("GLIP_TRAIN_EXACT") else 2e-2


def window_attention(x, height, width, shift, gamma, beta, wqkv, bqkv, bias, wproj, bproj):
    """The original's steps, one by one."""
    b, _, c = x.shape
    heads, down, across = c // 16, -(-height // 7), -(-width // 7)
    n = F.layer_norm(x, (c,), gamma, beta).view(b, height, width, c)
    n = torch.roll(F.pad(n, (0, 0, 0, across * 7 - width, 0, down * 7 - height)), (-shift, -shift), (1, 2))
    cut = lambda t: t.view(-1, down, 7, across, 7, t.shape[-1]).transpose(2, 3).reshape(-1, 49, t.shape[-1])
    q, k, v = (cut(n) @ wqkv.t() + bqkv).view(-1, 49, 3, heads, 16).permute(2, 0, 3, 1, 4)
    scores = (q * .25) @ k.transpose(-1, -2) + bias
    if shift:
        region = torch.zeros(1, down * 7, across * 7, 1)
        for i, rows in enumerate((slice(0, -7), slice(-7, -shift), slice(-shift, None))):
            for j, columns in enumerate((slice(0, -7), slice(-7, -shift), slice(-shift, None))):
                region[:, rows, columns] = 3 * i + j
        region = cut(region)
        scores = scores + torch.where(region == region.transpose(1, 2), 0., -100.)[:, None].repeat(b, 1, 1, 1)
    o = ((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 49, c) @ wproj.t() + bproj)
    o = o.view(b, down, across, 7, 7, c).transpose(2, 3).reshape(b, down * 7, across * 7, c)
    return x + torch.roll(o, (shift, shift), (1, 2))[:, :height, :width].reshape(x.shape)


class KernelTests(unittest.TestCase):
    def check(self, ours, plain, tensors, *fixed):
        """Values and all gradients of two functions."""
        a = [t.clone().requires_grad_() for t in tensors]
        b = [t.clone().requires_grad_() for t in tensors]
        x, y = ours(*a), plain(*b)
        x, y = (x, y) if isinstance(x, tuple) else ((x,), (y,))
        weights = [torch.randn_like(t) for t in y]
        sum((t * w).sum() for t, w in zip(x, weights)).backward()
        sum((t * w).sum() for t, w in zip(y, weights)).backward()
        for i, (s, t) in enumerate([*zip(x, y), *((p.grad, q.grad) for p, q in zip(a, b))]):
            error = (s - t).abs().max() / t.abs().max()
            self.assertLess(error, TOLERANCE, f"tensor {i}")

    def setUp(self):
        torch.manual_seed(5)

    def test_linear(self):
        for rows, i, o in ((130, 32, 96), (49, 16, 64), (7, 64, 16)):
            self.check(kernels.linear, F.linear, [torch.randn(rows, i), torch.randn(o, i), torch.randn(o)])

    def test_mlp(self):
        c = 32
        tensors = [torch.randn(2, 75, c), torch.rand(c) + .5, torch.randn(c), torch.randn(4 * c, c) / 6, torch.randn(4 * c),
                   torch.randn(c, 4 * c) / 11, torch.randn(c)]
        self.check(kernels.mlp_block,
                   lambda x, g, b, w1, b1, w2, b2: x + F.linear(F.gelu(F.linear(F.layer_norm(x, (c,), g, b), w1, b1)), w2, b2), tensors)

    def test_attention(self):
        c, h, w = 32, 10, 16
        for shift in (0, 3):
            tensors = [torch.randn(2, h * w, c), torch.rand(c) + .5, torch.randn(c), torch.randn(3 * c, c) / 6, torch.randn(3 * c),
                       torch.randn(2, 49, 49), torch.randn(c, c) / 6, torch.randn(c)]
            self.check(lambda x, *rest: kernels.attention_block(x, h, w, shift, *rest),
                       lambda x, *rest: window_attention(x, h, w, shift, *rest), tensors)

    def test_convolutions(self):
        import torchvision
        for stride, h, w in ((1, 9, 7), (2, 9, 8)):
            rows, columns = (h - 1) // stride + 1, (w - 1) // stride + 1
            tensors = [torch.randn(2, 16, h, w), 2 * torch.randn(2, 18, rows, columns), torch.rand(2, 9, rows, columns),
                       torch.randn(32, 16, 3, 3), torch.randn(32)]
            self.check(lambda x, o, m, k, b: kernels.conv3(x.permute(0, 2, 3, 1), o, m, k, b, stride).permute(0, 3, 1, 2),
                       lambda x, o, m, k, b: torchvision.ops.deform_conv2d(x, o, k, b, stride, 1, mask=m), tensors)
            self.check(lambda x, k, b: kernels.conv3(x.permute(0, 2, 3, 1), None, None, k, b, stride).permute(0, 3, 1, 2),
                       lambda x, k, b: F.conv2d(x, k, b, stride, 1), [tensors[0], *tensors[3:]])

    def test_group_norm(self):
        tensors = [torch.randn(3, 32, 5, 7) * 2 + 1, torch.rand(32) + .5, torch.randn(32)]
        self.check(lambda x, g, b: kernels.group_norm(x.permute(0, 2, 3, 1), g, b, 8).permute(0, 3, 1, 2),
                   lambda x, g, b: F.group_norm(x, 8, g, b), tensors)

    def test_fusion(self):
        n, t, e, heads = 53, 21, 64, 2
        mask = (torch.arange(t) < torch.tensor([[t], [13]])).float()

        def plain(q, k, vv, vl):
            split = lambda x: x.view(2, -1, heads, e // heads).transpose(1, 2)
            s = split(q) @ split(k).transpose(-1, -2) * (e // heads) ** -.5
            v = (s + (1 - mask[:, None, None]) * -9e15).softmax(-1) @ split(vl)
            l = s.transpose(-1, -2).softmax(-1) @ split(vv) * mask[:, None, :, None]  # nobody reads padding
            return v.transpose(1, 2).flatten(2), l.transpose(1, 2).flatten(2)
        self.check(lambda *x: kernels.fusion_attention(*x, mask, heads), plain,
                   [torch.randn(2, n, e), torch.randn(2, t, e), torch.randn(2, n, e), torch.randn(2, t, e)])


    def test_token_loss(self):
        mask = (torch.arange(37) < torch.tensor([[37], [20]])).float()
        target = (torch.rand(2, 9, 37) < .2).float()

        def plain(x):
            p = x.sigmoid()
            right = torch.where(target > 0, p, 1 - p)
            weight = torch.where(target > 0, .25, .75) * mask[:, None]
            return (weight * (1 - right) ** 2 * F.binary_cross_entropy_with_logits(x, target, reduction="none")).sum()
        self.check(lambda x: kernels.token_loss(x, target, mask, .25), plain, [3 * torch.randn(2, 9, 37)])


if __name__ == "__main__":
    unittest.main()
