"""Times GLIP's kernels on ONNX Runtime, PyTorch and this library in turn, and prints the ratios.

Run:  /usr/bin/python3 bench/peers/kernels.py [--kernel gemm,conv,dcn,window,bert] [--threads 1,2] [--shape 11x768x768] ...
README.md says what must be installed and what the rules are.
"""

import argparse
import collections
import math
import pathlib
import sys
import tempfile

import numpy as np
import torch

import kernels_torch
import onnx_graphs
import peers

COMMANDS = {"gemm": ["gemm"], "conv": ["conv"], "dcn": ["dcn"]}  # the others are kinds of "attention"
# For a convolution "all" chooses a blocked layout and reorders at both ends, which a graph of one node may not pay back.
LEVELS = {"conv": ("all", "extended")}
ROUND_MS = 300
FEWEST, MOST = 3, 51
LARGEST_DIFFERENCE = 1e-3


def shapes(args):
    """(kernel, shape, multiply-adds of a call, where it occurs first), each once, as the models have them"""
    options = [text for name in ("config", "size", "tokens") for value in getattr(args, name).split(",") for text in (f"--{name}", value)]
    found = {}
    for row in peers.glip_bench(args.glip_bench, "shapes", *options)["rows"]:
        key = row["kernel"], row["shape"]
        if row["kernel"] in args.kernel and (not args.shape or row["shape"] in args.shape):
            found.setdefault(key, (row["macs"], []))[1].append(f"{row['config']} {row['stage']} {row['part']}")
    return [(*key, macs, where[0]) for key, (macs, where) in found.items()]


def ours(args, kernel, shape, threads):
    command = COMMANDS.get(kernel, ["attention", "--kind", kernel])
    return peers.glip_bench(args.glip_bench, *command, "--shape", shape, "--threads", threads)["rows"][0]


def runs_a_round(peer):
    """How often a peer runs in a round, after a warm-up."""
    peer.ask(op="run", times=1)
    return max(FEWEST, min(MOST, int(ROUND_MS / peer.ask(op="run", times=1)["ms"][0])))


def load_ort(ort, kernel, shape, threads, folder):
    """Exports the kernel, loads it with the faster level and checks its results. -> the level"""
    module, inputs = kernels_torch.build(kernel, shape)
    names = [f"input{i}" for i in range(len(inputs))]
    with torch.no_grad():
        expected = module(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    model = folder / "kernel.onnx"
    onnx_graphs.export(module, inputs, model, names, [f"output{i}" for i in range(len(expected))])
    files = {name: str(folder / name) for name in names}
    for name, value in zip(names, inputs):
        value.numpy().tofile(files[name])

    def load(level):
        ort.ask(op="load", model=str(model), threads=threads, level=level, inputs=files)
        ort.ask(op="run", times=1)
        return min(ort.ask(op="run", times=FEWEST)["ms"])

    levels = LEVELS.get(kernel, ("all",))
    level = min(levels, key=load)
    if level != levels[-1]:
        load(level)
    ort.ask(op="save", folder=str(folder))
    for i, right in enumerate(expected):
        found = np.fromfile(folder / f"{i}.bin", np.float32).reshape(right.shape)
        difference = peers.largest_difference(right.numpy(), found)
        if not difference < LARGEST_DIFFERENCE:
            raise peers.PeerError(f"{kernel} {shape}: ONNX Runtime and PyTorch differ by {difference:.1e} of the largest value")
    return level


def compare(args, engines, kernel, shape, macs, threads):
    """One row: medians of a call and ratios."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        row = {"kernel": kernel, "shape": shape, "threads": threads}
        if "ort" in engines:
            row["ort_level"] = load_ort(engines["ort"], kernel, shape, threads, folder)
        if "torch" in engines:
            engines["torch"].ask(op="load", kernel=kernel, shape=shape)
        times = {engine: runs_a_round(peer) for engine, peer in engines.items()}
        medians = collections.defaultdict(list)
        fractions = []
        for _ in range(args.rounds):
            for engine, peer in engines.items():
                peer.ask(op="run", times=1)  # wakes its threads and its memory
                medians[engine].append(peers.median(peer.ask(op="run", times=times[engine])["ms"]))
            mine = ours(args, kernel, shape, threads)
            medians["ours"].append(mine["median_ms"])
            fractions.append(mine["peak_fraction"])
        for peer in engines.values():
            peer.ask(op="release")
    gflops = lambda ms: 2e-6 * macs / ms
    row["ours_ms"] = peers.median(medians["ours"])
    row["ours_gflops"] = gflops(row["ours_ms"])
    row["peak_fraction"] = peers.median(fractions)
    for engine in engines:
        row[f"{engine}_ms"] = peers.median(medians[engine])
        row[f"{engine}_gflops"] = gflops(row[f"{engine}_ms"])
        row[f"{engine}_ratio"] = peers.ratio(medians[engine], medians["ours"])
    return row


def summary(rows, engines):
    """Geometric mean and minimum of the ratios per kernel, engine and number of threads"""
    groups = collections.defaultdict(list)
    for row in rows:
        for engine in engines:
            groups[row["kernel"], row["threads"], engine].append((row[f"{engine}_ratio"], row["shape"]))
    return [
        {"kernel": kernel, "threads": threads, "peer": engine, "shapes": len(ratios),
         "geometric_mean": math.exp(sum(math.log(r) for r, _ in ratios) / len(ratios)), "minimum": min(ratios)[0], "at": min(ratios)[1]}
        for (kernel, threads, engine), ratios in groups.items()]


def arguments():
    parser = argparse.ArgumentParser(description="time GLIP's kernels on ONNX Runtime, PyTorch and this library in turn")
    split = lambda text: text.split(",")
    parser.add_argument("--kernel", type=split, default=["gemm", "conv", "dcn", "window", "bert"],
                        help=f"of {', '.join(kernels_torch.GRAMMAR)}; default gemm,conv,dcn,window,bert")
    parser.add_argument("--shape", type=split, default=[], help="only these, as glip-bench shapes lists them")
    parser.add_argument("--config", default="glip-t,glip-l")
    parser.add_argument("--size", default="800x1216,480x640")
    parser.add_argument("--tokens", default="11")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], default=[1, 2])
    parser.add_argument("--peers", type=split, default=["ort"], help="ort, torch or both; default ort")
    parser.add_argument("--rounds", type=int, default=3, help="how often the engines take turns on a shape; default 3")
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    parser.add_argument("--glip-bench", help="command that starts glip-bench; default: this clone's Release build")
    args = parser.parse_args()
    for kernel in args.kernel:
        if kernel not in kernels_torch.GRAMMAR:
            parser.error(f"--kernel {kernel}: expected {', '.join(kernels_torch.GRAMMAR)}")
    for peer in args.peers:
        if peer not in ("ort", "torch"):
            parser.error(f"--peers {peer}: expected ort or torch")
    if args.rounds < 1 or min(args.threads) < 1:
        parser.error("--rounds and --threads must be at least 1")
    return args


def main():
    args = arguments()
    torch.set_num_threads(1)
    wanted = shapes(args)
    if not wanted:
        raise peers.PeerError("no such shape in the models: see glip-bench shapes")
    rows = []
    for threads in args.threads:
        engines = {}
        try:
            for name in args.peers:
                engines[name] = peers.onnx_runtime() if name == "ort" else peers.pytorch(threads)
            for kernel, shape, macs, where in wanted:
                row = compare(args, engines, kernel, shape, macs, threads)
                rows.append({**row, "first_use": where})
                ratios = ", ".join(f"{name} {row[f'{name}_ms']:.3g} ms ({row[f'{name}_ratio']:.2f})" for name in engines)
                print(f"{kernel} {shape}, {threads} threads: ours {row['ours_ms']:.3g} ms, {ratios}", file=sys.stderr)
        finally:
            for peer in engines.values():
                peer.close()
    totals = summary(rows, args.peers)
    columns = ["kernel", "shape", "threads", "ours_ms", "ours_gflops", "peak_fraction"]
    columns += [f"{name}_{what}" for name in args.peers for what in ("ms", "gflops", "ratio")]
    if args.format == "json":
        peers.write(rows, columns, "json", {"summary": totals})
        return
    print(f"{peers.machine()}; medians of {args.rounds} rounds in turn; ratio = peer's time / ours\n")
    peers.write(rows, columns, args.format)
    print()
    peers.write(totals, ["kernel", "threads", "peer", "shapes", "geometric_mean", "minimum", "at"], args.format)


if __name__ == "__main__":
    try:
        main()
    except peers.PeerError as error:
        sys.exit(f"kernels.py: {error}")
