"""The C kernels of kernels.c as functions of autograd. They are compiled by gcc at first use, for this machine."""
import ctypes
import hashlib
import os
import pathlib
import subprocess
import tempfile

import torch

SOURCE = pathlib.Path(__file__).with_name("kernels.c")
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-shared", "-fPIC"]
if os.environ.get("GLIP_TRAIN_EXACT"):  # single precision everywhere, also where the CPU has bfloat16 tiles
    FLAGS.append("-DEXACT")


def load():
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join(FLAGS).encode()).hexdigest()[:16]
    folder = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "glip-train"
    library = folder / f"kernels-{key}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".so", delete=False) as target:
            subprocess.run(["gcc", *FLAGS, str(SOURCE), "-o", target.name, "-lm"], check=True)
        os.replace(target.name, library)
    return ctypes.CDLL(str(library))


_library = load()
_library.token_loss.restype = ctypes.c_double


def call(name: str, *arguments):
    """Tensors go as pointers, whole numbers as int unless given as ctypes.c_long, others as float."""
    converted = []
    for a in arguments:
        if isinstance(a, torch.Tensor):
            assert a.is_contiguous() and a.dtype in (torch.float32, torch.uint8)
            converted.append(ctypes.c_void_p(a.data_ptr()))
        elif a is None:
            converted.append(ctypes.c_void_p(0))
        elif isinstance(a, float):
            converted.append(ctypes.c_float(a))
        else:
            converted.append(a if not isinstance(a, int) else ctypes.c_int(a))
    return getattr(_library, name)(*converted)


class MlpBlock(torch.autograd.Function):
    """x [..., C] + fc2(gelu(fc1(norm(x))))"""

    @staticmethod
    def forward(ctx, x, gamma, beta, w1, b1, w2, b2):
        x = x.contiguous()
        c, h = x.shape[-1], w1.shape[0]
        rows = x.numel() // c
        y, stats, z = torch.empty_like(x), x.new_empty(rows, 2), x.new_empty(rows, h)
        call("mlp_forward", ctypes.c_long(rows), c, h, x, gamma, beta, w1, b1, w2, b2, y, stats, z)
        ctx.save_for_backward(x, gamma, beta, w1, b1, w2, stats, z)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, beta, w1, b1, w2, stats, z = ctx.saved_tensors
        c, h = x.shape[-1], w1.shape[0]
        dx, grads = torch.empty_like(x), [torch.zeros_like(t) for t in (gamma, beta, w1, b1, w2)] + [torch.zeros(c)]
        call("mlp_backward", ctypes.c_long(x.numel() // c), c, h, x, gamma, beta, w1, w2, stats, z, dy.contiguous(), dx, *grads)
        return (dx, *grads)


class AttentionBlock(torch.autograd.Function):
    """x [B, H·W, C] + proj(attention in windows(norm(x))); bias [heads, 49, 49]; heads of 16 channels"""

    @staticmethod
    def forward(ctx, x, height, width, shift, gamma, beta, wqkv, bqkv, bias, wproj, bproj):
        x, bias = x.contiguous(), bias.contiguous()
        images, _, c = x.shape
        windows = images * -(-height // 7) * -(-width // 7)
        y, stats = torch.empty_like(x), x.new_empty(images * height * width, 2)
        qkv, mixed = x.new_empty(windows, 49, 3 * c), x.new_empty(windows, 49, c)
        call("attention_forward", images, height, width, c, shift, x, gamma, beta, wqkv, bqkv, bias, wproj, bproj, y, stats, qkv, mixed)
        ctx.save_for_backward(x, gamma, beta, wqkv, bqkv, bias, wproj, bproj, stats, qkv, mixed)
        ctx.sizes = images, height, width, c, shift
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, beta, wqkv, bqkv, bias, wproj, bproj, stats, qkv, mixed = ctx.saved_tensors
        dx, grads = torch.empty_like(x), [torch.zeros_like(t) for t in (gamma, beta, wqkv, bqkv, bias, wproj, bproj)]
        call("attention_backward", *ctx.sizes, x, gamma, beta, wqkv, bias, wproj, stats, qkv, mixed, dy.contiguous(), dx, *grads)
        return (dx, None, None, None, *grads)


class Conv3(torch.autograd.Function):
    """x [B, H, W, C] -> [B, H', W', O]: 3 × 3, padding 1, w [O, C, 3, 3], O a multiple of 16. offset and mask (deformable) or None: flat
    per image, the first values are used (the original kernel reads them so)"""

    @staticmethod
    def forward(ctx, x, offset, mask, w, b, stride):
        images, height, width, c = x.shape
        rows, columns, out = (height - 1) // stride + 1, (width - 1) // stride + 1, w.shape[0]
        x, w, b = x.contiguous(), w.permute(0, 2, 3, 1).contiguous(), b.contiguous()
        if offset is None:
            offset, mask, lengths = None, None, (0, 0)
        else:
            offset, mask = offset.contiguous(), mask.contiguous()
            lengths = offset[0].numel(), mask[0].numel()
        y = x.new_empty(images, rows, columns, out)
        ctx.sizes = (images, height, width, c, out, rows, columns, stride, *(ctypes.c_long(n) for n in lengths))
        call("conv3_forward", *ctx.sizes, x, offset, mask, w, b, y)
        ctx.save_for_backward(x, offset, mask, w)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, offset, mask, w = ctx.saved_tensors
        dx, doffset, dmask, dw = (None if t is None else torch.zeros_like(t) for t in (x, offset, mask, w))
        db = torch.zeros(w.shape[0])
        call("conv3_backward", *ctx.sizes, x, offset, mask, w, dy.contiguous(), dx, doffset, dmask, dw, db)
        return dx, doffset, dmask, dw.permute(0, 3, 1, 2), db, None


class GroupNorm(torch.autograd.Function):
    """x [B, H, W, C]"""

    @staticmethod
    def forward(ctx, x, gamma, beta, groups):
        x = x.contiguous()
        ctx.sizes = x.shape[0], x.shape[1] * x.shape[2], x.shape[3], groups
        y, stats = torch.empty_like(x), x.new_empty(x.shape[0], groups, 2)
        call("group_norm_forward", *ctx.sizes, x, gamma, beta, y, stats)
        ctx.save_for_backward(x, gamma, stats)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, stats = ctx.saved_tensors
        dx, dgamma, dbeta = torch.empty_like(x), torch.zeros_like(gamma), torch.zeros_like(gamma)
        call("group_norm_backward", *ctx.sizes, x, gamma, stats, dy.contiguous(), dx, dgamma, dbeta)
        return dx, dgamma, dbeta, None


class LinearLayer(torch.autograd.Function):
    """x [..., I] W^T + b, O a multiple of 16"""

    @staticmethod
    def forward(ctx, x, w, b):
        x = x.contiguous()
        y = x.new_empty(*x.shape[:-1], w.shape[0])
        call("linear_forward", ctypes.c_long(x.numel() // w.shape[1]), w.shape[1], w.shape[0], x, w, b, y)
        ctx.save_for_backward(x, w)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        dx, dw, db = torch.empty_like(x), torch.zeros_like(w), torch.zeros(w.shape[0])
        call("linear_backward", ctypes.c_long(x.numel() // w.shape[1]), w.shape[1], w.shape[0], x, w, dy.contiguous(), dx, dw, db)
        return dx, dw, db


class FusionAttention(torch.autograd.Function):
    """q, vv [B, N, E], k, vl [B, T, E], mask [B, T] -> what cells get from tokens [B, N, E], and tokens from cells [B, T, E]"""

    @staticmethod
    def forward(ctx, q, k, vv, vl, mask, heads):
        q, k, vv, vl, mask = (t.contiguous() for t in (q, k, vv, vl, mask))
        (images, n, e), t = q.shape, k.shape[1]
        ctx.sizes = images, n, t, e, e // heads, float((e // heads) ** -.5)
        ov, ol = torch.empty_like(q), torch.zeros_like(k)
        call("fusion_forward", *ctx.sizes, q, k, vv, vl, mask, ov, ol)
        ctx.save_for_backward(q, k, vv, vl, mask)
        return ov, ol

    @staticmethod
    def backward(ctx, dov, dol):
        q, k, vv, vl, mask = ctx.saved_tensors
        grads = [torch.zeros_like(t) for t in (q, k, vv, vl)]
        call("fusion_backward", *ctx.sizes, q, k, vv, vl, mask, dov.contiguous(), dol.contiguous(), *grads)
        return (*grads, None, None)


class TokenLoss(torch.autograd.Function):
    """Focal loss (gamma 2), summed: logits, target [B, N, T], mask [B, T]"""

    @staticmethod
    def forward(ctx, logits, target, mask, alpha):
        logits, gradient = logits.contiguous(), torch.empty_like(logits)
        total = call("token_loss", *logits.shape, logits, target, mask.contiguous(), alpha, gradient)
        ctx.save_for_backward(gradient)
        return torch.tensor(total)

    @staticmethod
    def backward(ctx, d):
        return ctx.saved_tensors[0] * d, None, None, None


token_loss = TokenLoss.apply
linear, fusion_attention = LinearLayer.apply, FusionAttention.apply
mlp_block, attention_block, conv3, group_norm = MlpBlock.apply, AttentionBlock.apply, Conv3.apply, GroupNorm.apply
