"""What kernels.py and model.py share: processes that are measured in turn, and reports."""

import ctypes
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
ARTIFACTS = ROOT / "artifacts/peers"
HARNESS = ROOT / "bench/Glip.Harness/bin/Release/net10.0"


PR_SET_PDEATHSIG = 1


class PeerError(Exception):
    """A peer or glip-bench could not do what was asked."""


def end_with_parent():
    """A process that stands still would outlive a parent that was killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Peer:
    """A process that answers requests and stands still between them, so that no thread of it can spin while others are measured."""

    def __init__(self, command, environment=None):
        self._name = pathlib.Path(command[1]).name
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})},
                preexec_fn=end_with_parent)
        except OSError as error:
            raise PeerError(f"cannot start {command[0]}: {error.strerror}") from error

    def ask(self, **request):
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"{self._name} ended with status {self._process.wait()} while it did {request}")
        self._process.send_signal(signal.SIGSTOP)
        reply = json.loads(line)
        if "error" in reply:
            raise PeerError(f"{self._name}: {reply['error']} ({request})")
        return reply

    def close(self):
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self.close()


def onnx_runtime():
    modules = ARTIFACTS / "node_modules"
    if not (modules / "onnxruntime-node").is_dir():
        raise PeerError(f"no onnxruntime-node under {modules.relative_to(ROOT)}: see bench/peers/README.md")
    return Peer(["node", str(HERE / "ort_runner.js")], {"NODE_PATH": str(modules)})


def pytorch(threads):
    return Peer([sys.executable, str(HERE / "torch_runner.py"), str(threads)], {"OMP_NUM_THREADS": str(threads)})


def glip_bench(command, *arguments):
    """Runs glip-bench and returns its JSON. command: how to start it, or None for the built harness of this clone."""
    if command is None:
        program = HARNESS / "glip-bench.dll"
        if not program.exists():
            raise PeerError(f"{program.relative_to(ROOT)} is missing: dotnet build -c Release bench/Glip.Harness")
        start = ["dotnet", str(program)]
    else:
        start = shlex.split(command)
    try:
        done = subprocess.run([*start, *map(str, arguments), "--json"], capture_output=True, text=True)
    except OSError as error:
        raise PeerError(f"cannot start {start[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise PeerError(f"glip-bench {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def median(values):
    return statistics.median(values)


def ratio(peer, ours):
    """The median over the rounds of peer's time by ours in the same round: load that comes and goes hits both."""
    return median([p / o for p, o in zip(peer, ours)])


def largest_difference(expected, found):
    """Relative to the largest expected value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def machine():
    """Processor, versions and date, for the head of a report."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    package = ARTIFACTS / "node_modules/onnxruntime-node/package.json"
    ort = json.loads(package.read_text())["version"] if package.exists() else "not installed"
    torch = importlib.metadata.version("torch").split("+")[0]
    return f"{cpu[1] if cpu else platform.machine()}, {os.cpu_count()} processors, ONNX Runtime {ort}, PyTorch {torch}, {datetime.date.today()}"


def write(rows, columns, style, extra=None):
    """Prints rows (dicts) as an aligned table, Markdown or JSON; extra: further lists of rows by name, for JSON."""
    if style == "json":
        print(json.dumps({"machine": machine(), "rows": rows, **(extra or {})}, indent=2))
        return

    def cell(value):
        if not isinstance(value, float):
            return str(value)
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"

    lines = [[cell(row[column]) for column in columns] for row in rows]
    if style == "markdown":
        for line in (columns, ["---"] * len(columns), *lines):
            print("| " + " | ".join(line) + " |")
        return
    widths = [max(map(len, column)) for column in zip(columns, *lines)]
    for line in (columns, *lines):
        print("  ".join(text.ljust(width) if i < 3 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths))).rstrip())
