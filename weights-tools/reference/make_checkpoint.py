#!/usr/bin/env python3
"""Makes a checkpoint in the layout of the original GLIP, with weights by formula: for tests and timings of glip-weights.

    python3 make_checkpoint.py glip-t artifacts/glip-t.pth --ema --optimizer      # 3.7 GB, as the published GLIP-T
    python3 make_checkpoint.py config.json artifacts/small.pth --half --views --legacy

Needs PyTorch and NumPy. Everything that a trainer may do to the weights' form is an option; the values are always the formula's, so that a
converted file can be compared with `procedural:NAME:SEED`. Write to a folder that git ignores and delete the file when done.
"""
import argparse
import json
from collections import OrderedDict

import numpy as np
import torch

import procedural

PERMUTED = [0, 2, 1, 3]  # the original's order of a patch's four cells, counted along the rows


def to_mmdet(name, tensor):
    """mmdetection's name and order of a parameter."""
    fpn = {"fpn_inner2": "lateral_convs.0", "fpn_inner3": "lateral_convs.1", "fpn_inner4": "lateral_convs.2", "fpn_layer2": "fpn_convs.0",
           "fpn_layer3": "fpn_convs.1", "fpn_layer4": "fpn_convs.2", "top_blocks.p6": "fpn_convs.3", "top_blocks.p7": "fpn_convs.4"}
    if name.startswith("backbone.body."):
        if ".downsample." in name:
            cells = tensor.reshape(*tensor.shape[:-1], 4, tensor.shape[-1] // 4)
            tensor = torch.stack([cells[..., cell, :] for cell in PERMUTED], -1).reshape(tensor.shape).clone()
        name = "backbone." + name[len("backbone.body."):]
        for ours, theirs in [("layers.", "stages."), ("patch_embed.proj.", "patch_embed.projection."), (".attn.", ".attn.w_msa."),
                             (".mlp.fc1.", ".ffn.layers.0.0."), (".mlp.fc2.", ".ffn.layers.1.")]:
            name = name.replace(ours, theirs)
    elif name.startswith("backbone.fpn."):
        part, end = name[len("backbone.fpn."):].rsplit(".", 1)
        name = f"neck.{fpn[part]}.conv.{end}"
    elif name.startswith("language_backbone."):
        name = "language_model." + name
    else:
        name = "bbox_head" + name[len("rpn"):]
    return name, tensor


def weights(config, seed, args):
    """The state dict in the form that the options ask for."""
    state = OrderedDict()
    half = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}.get(args.dtype, torch.float32)
    for name, shape, kind in procedural.state_dict(config):
        if kind != "parameter":
            tensor = torch.from_numpy(procedural.buffer(name, shape, kind))
        else:
            tensor = torch.from_numpy(procedural.values(name, shape, seed)).to(half)
            if args.views and tensor.dim() == 2:
                tensor = tensor.t().contiguous().t()  # stored by columns
            elif args.views and tensor.dim() == 1:
                tensor = torch.stack([torch.full_like(tensor, 7), tensor], 1)[:, 1]  # every other element of a storage
        if args.mmdet:
            name, tensor = to_mmdet(name, tensor)
        state[("" if args.no_prefix or args.mmdet else "module.") + name] = torch.nn.Parameter(tensor) if args.parameters and tensor.is_floating_point() else tensor
    if args.tunable:
        rows = procedural.values("rpn.tunable_linear.weight", [1000, config["hidden"]], seed)
        state[("" if args.no_prefix else "module.") + "rpn.tunable_linear.weight"] = torch.from_numpy(rows)
    if args.shared:  # all float32 tensors as views of one storage
        floats = [name for name, tensor in state.items() if tensor.dtype == torch.float32]
        everything, at = torch.cat([state[name].reshape(-1) for name in floats]), 0
        for name in floats:
            count = state[name].numel()
            state[name] = everything[at:at + count].view(state[name].shape)
            at += count
    return state


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help=f"one of {', '.join(procedural.PUBLISHED)}, or a JSON file of sizes")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ema", action="store_true", help="store a second copy of the weights, of seed + 1, under model_ema")
    parser.add_argument("--optimizer", action="store_true", help="store two moments a parameter under optimizer, and a scheduler")
    parser.add_argument("--dtype", choices=["float32", "float16", "bfloat16", "float64"], default="float32")
    parser.add_argument("--views", action="store_true", help="matrices stored by columns, vectors as every other element")
    parser.add_argument("--shared", action="store_true", help="all weights in one storage")
    parser.add_argument("--parameters", action="store_true", help="torch.nn.Parameter instead of tensors")
    parser.add_argument("--no-prefix", action="store_true", help="names without module.")
    parser.add_argument("--bare", action="store_true", help="the state dict itself, not under model")
    parser.add_argument("--legacy", action="store_true", help="the form of PyTorch before 1.6")
    parser.add_argument("--protocol", type=int, default=2, help="pickle protocol, 2 to 5")
    parser.add_argument("--mmdet", action="store_true", help="mmdetection's names and order, under state_dict")
    parser.add_argument("--tunable", action="store_true", help="with rpn.tunable_linear.weight, as prompt tuning leaves it")
    args = parser.parse_args()

    sizes = procedural.PUBLISHED.get(args.config) or procedural.from_json(json.load(open(args.config)))
    state = weights(sizes, args.seed, args)
    if args.bare:
        root = state
    elif args.mmdet:
        root = {"meta": {"epoch": 12, "dataset_meta": {"classes": ("person",)}}, "state_dict": state}
    else:
        root = {"model": state}
    if args.ema:
        root["model_ema"] = weights(sizes, args.seed + 1, args)
    if args.optimizer:
        moments = {i: {"step": 7, "exp_avg": torch.zeros(t.shape), "exp_avg_sq": torch.ones(t.shape)} for i, t in enumerate(state.values())}
        root["optimizer"] = {"state": moments, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999), "params": list(moments)}]}
        root["scheduler"] = {"milestones": __import__("collections").Counter([3, 5]), "best": np.float64(0.5), "last_epoch": 9}
        root["iteration"] = 123456
    torch.save(root, args.out, pickle_protocol=args.protocol, _use_new_zipfile_serialization=not args.legacy)


if __name__ == "__main__":
    main()
