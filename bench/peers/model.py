"""Times whole networks on PyTorch, ONNX Runtime and this library in turn, and prints time, memory and ratios.

Run:  /usr/bin/python3 bench/peers/model.py [--peers torch,exported,pruned,folded] [--tokens 11,195] [--threads 1,2] ...
README.md says what must be installed, what the forms are and what the rules are.
"""

import argparse
import sys

import numpy as np
import torch

import glip_export
import glip_torch
import peers

PEERS = ("torch", *glip_export.FORMS)
# Rounding of a network of this depth in another order of summation, P6 and P7 with their small groups included: check_glip.py.
LARGEST_DIFFERENCE = 3e-4


def start(peer, args, height, width, tokens, threads):
    """A peer, loaded and, if it runs an exported graph, checked."""
    form = "exported" if peer == "torch" else peer
    path, inputs, expected = glip_export.published(args.config, height, width, tokens, form, peers.ARTIFACTS / "models")
    inputs = {name: str(file) for name, file in inputs.items()}
    if peer == "torch":
        process = peers.pytorch(threads)
        process.ask(op="load", config=args.config, fusion=glip_export.FORMS[form][0], size=[height, width], inputs=inputs)
        return process
    process = peers.onnx_runtime()
    process.ask(op="load", model=str(path), threads=threads, level="all", inputs=inputs)
    folder = peers.ARTIFACTS / "outputs"
    folder.mkdir(exist_ok=True)
    right = np.fromfile(expected, np.float32)
    for i, (name, dims) in enumerate(process.ask(op="save", folder=str(folder))["outputs"].items()):
        found = np.fromfile(folder / f"{i}.bin", np.float32)
        difference = peers.largest_difference(right[: found.size], found)
        right = right[found.size:]
        if not difference < LARGEST_DIFFERENCE:
            process.close()
            raise peers.PeerError(f"{path.name}, {name}: ONNX Runtime and PyTorch differ by {difference:.1e} of the largest value")
    return process


def compare(peer, args, height, width, tokens, threads):
    """One row: a peer and this library in turn."""
    theirs, mine = [], []
    with start(peer, args, height, width, tokens, threads) as process:
        for _ in range(args.rounds):
            process.ask(op="run", times=1)
            theirs.append([ms / 1e3 for ms in process.ask(op="run", times=args.calls)["ms"]])
            mine.append(peers.glip_bench(
                args.glip_bench, "model", "--config", args.config, "--size", f"{height}x{width}", "--tokens", tokens,
                "--threads", threads, "--repeat", args.calls))
        memory = process.ask(op="memory")["peak_rss_bytes"]
    ours = [run["median_s"] for run in mine]
    medians = [peers.median(round_) for round_ in theirs]
    return {
        "config": args.config, "size": f"{height}x{width}", "tokens": tokens, "threads": threads, "peer": peer,
        "peer_s": peers.median(medians), "peer_min_s": min(map(min, theirs)), "peer_rss_mb": memory / 1e6,
        "ours_s": peers.median(ours), "ours_min_s": min(run["min_s"] for run in mine),
        "ours_rss_mb": max(run["peak_rss_bytes"] for run in mine) / 1e6,
        "ratio": peers.ratio(medians, ours),
    }


def arguments():
    parser = argparse.ArgumentParser(description="time whole networks on PyTorch, ONNX Runtime and this library in turn")
    numbers = lambda text: [int(n) for n in text.split(",")]
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(PEERS), help=f"of {', '.join(PEERS)}; default all")
    parser.add_argument("--config", choices=list(glip_torch.CONFIGS), default="glip-t")
    parser.add_argument("--size", type=lambda text: [int(n) for n in text.split("x")], default=[800, 1216], help="default 800x1216")
    parser.add_argument("--tokens", type=numbers, default=[11, 195],
                        help="of the prompt: 11 has 'person . dog . umbrella . red car .', 195 the 80 names of COCO; default both")
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="how often the engines take turns; default 3")
    parser.add_argument("--calls", type=int, default=2, help="timed calls of each engine in a round, after one that is not timed; default 2")
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    parser.add_argument("--glip-bench", help="command that starts glip-bench; default: this clone's Release build")
    args = parser.parse_args()
    for peer in args.peers:
        if peer not in PEERS:
            parser.error(f"--peers {peer}: expected {', '.join(PEERS)}")
    if len(args.size) != 2 or any(side < 32 or side % 32 for side in args.size):
        parser.error("--size must be rows x columns, multiples of 32")
    if not all(3 <= tokens <= glip_export.PADDED_TOKENS for tokens in args.tokens):
        parser.error(f"--tokens must be from 3 to {glip_export.PADDED_TOKENS}")
    if args.rounds < 1 or args.calls < 1 or min(args.threads) < 1:
        parser.error("--rounds, --calls and --threads must be at least 1")
    return args


def main():
    args = arguments()
    rows = []
    for tokens in args.tokens:
        for threads in args.threads:
            torch.set_num_threads(threads)  # of the exporter
            for peer in args.peers:
                row = compare(peer, args, *args.size, tokens, threads)
                rows.append(row)
                print(f"{peer}, {tokens} tokens, {threads} threads: {row['peer_s']:.2f} s, ours {row['ours_s']:.2f} s, ratio {row['ratio']:.2f}",
                      file=sys.stderr)
    if args.format != "json":
        print(f"{peers.machine()}; {args.rounds} rounds in turn of {args.calls} calls; ratio = peer's time / ours\n")
    peers.write(rows, list(rows[0]), args.format)


if __name__ == "__main__":
    try:
        main()
    except peers.PeerError as error:
        sys.exit(f"model.py: {error}")
