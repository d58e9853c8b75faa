"""Runs PyTorch on request: one JSON object a line in, one a line out, as ort_runner.js does. Started by peers.py.

  {"op": "load", "kernel": "gemm", "shape": "11x768x768"}
  {"op": "load", "config": "glip-t", "fusion": "plain", "inputs": {"image": path, "ids": path, "keep": path}, "size": [800, 1216]}
  {"op": "run", "times": n} -> {"ms": [...]}      {"op": "memory"}      {"op": "release"}
"""

import json
import pathlib
import re
import sys
import time

import numpy as np
import torch

import glip_torch
import kernels_torch
import procedural

module, inputs = None, ()


def read(path, dtype, shape):
    return torch.from_numpy(np.fromfile(path, dtype).reshape(shape))


def load(request):
    global module, inputs
    if "kernel" in request:
        module, inputs = kernels_torch.build(request["kernel"], request["shape"])
        return {}
    module = procedural.fill(glip_torch.Glip(glip_torch.CONFIGS[request["config"]], request["fusion"]), 1).eval()
    files = request["inputs"]
    inputs = (read(files["image"], np.float32, (1, 3, *request["size"])),) + tuple(
        read(files[name], np.int64, (1, -1)) for name in ("ids", "keep") if name in files)
    return {}


def run(request):
    times = []
    for _ in range(request["times"]):
        start = time.perf_counter()
        module(*inputs)
        times.append(1e3 * (time.perf_counter() - start))
    return {"ms": times}


def release(request):
    global module, inputs
    module, inputs = None, ()
    return {}


def memory(request):
    status = pathlib.Path("/proc/self/status").read_text()
    return {"peak_rss_bytes": 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])}


@torch.no_grad()
def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_flush_denormal(True)
    operations = {"load": load, "run": run, "release": release, "memory": memory}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = operations[request["op"]](request)
        except Exception as error:  # a reply says what went wrong; the process that asked decides
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
