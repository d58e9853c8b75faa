"""GLIP as ONNX graphs for ONNX Runtime, in three forms.

  exported  what an export of the published code gives: text padded to 256 tokens, with its mask
  pruned    the padding left out: as many tokens as the prompt has
  folded    pruned, and the fusion's wide projections multiplied into the text (exact up to rounding)

Weights lie in one file beside the graphs that share them, page-aligned, so that ONNX Runtime maps instead of reads them.
"""

import hashlib
import json
import pathlib

import numpy as np
import onnx
import torch

import glip_torch
import onnx_graphs
import procedural

# form -> order of the fusion, whether text is padded
FORMS = {"exported": ("plain", True), "pruned": ("plain", False), "folded": ("folded", False)}
PADDED_TOKENS = 256
OUTPUTS = [f"head.{part}.{level}" for part in ("bbox_reg", "centerness", "dot_product_logits") for level in glip_torch.FPN_LEVELS]
PAGE = 4096
SMALL = 1024  # bytes; smaller constants stay in the graph, where shape inference can see them


def example(height, width, tokens, padded):
    """Input tensors by name: a random picture, random words between [CLS] and [SEP], and where text is padded, its mask."""
    torch.manual_seed(1)
    image = torch.rand(1, 3, height, width) * 4 - 2
    ids = torch.randint(1000, 30000, (1, tokens))
    ids[0, 0], ids[0, -1] = 101, 102
    if not padded:
        return {"image": image, "ids": ids}
    pad = lambda row: torch.nn.functional.pad(row, (0, PADDED_TOKENS - tokens))
    return {"image": image, "ids": pad(ids), "keep": pad(torch.ones_like(ids))}


class SharedWeights:
    """A file of constants, each once, found again by its contents."""

    def __init__(self, path):
        self.path, self._index_path = path, path.with_suffix(".json")
        self._index = json.loads(self._index_path.read_text()) if self._index_path.exists() and path.exists() else {}

    def take(self, model):
        """Moves a model's large constants here."""
        with self.path.open("ab" if self._index else "wb") as file:
            for tensor in model.graph.initializer:
                if len(tensor.raw_data) < SMALL:
                    continue
                key = hashlib.blake2b(tensor.raw_data, digest_size=16).hexdigest()
                if key not in self._index:
                    file.write(b"\0" * (-file.tell() % PAGE))
                    self._index[key] = file.tell()
                    file.write(tensor.raw_data)
                place = {"location": self.path.name, "offset": self._index[key], "length": len(tensor.raw_data)}
                tensor.ClearField("raw_data")
                tensor.data_location = onnx.TensorProto.EXTERNAL
                for name, value in place.items():
                    tensor.external_data.add(key=name, value=str(value))
        self._index_path.write_text(json.dumps(self._index))


def export(model, inputs, path):
    """Writes a graph; weights go to weights.bin beside it."""
    onnx_graphs.export(model, tuple(inputs.values()), path, list(inputs), OUTPUTS)
    graph = onnx.load(path)
    SharedWeights(path.parent / "weights.bin").take(graph)
    path.write_bytes(graph.SerializeToString())


def published(config, height, width, tokens, form, folder):
    """A published configuration with procedural weights, for one size of picture and text; made if it is not there.

    -> the graph's path, the paths of example inputs by name, and of PyTorch's results with them (OUTPUTS one after the other).
    """
    fusion, padded = FORMS[form]
    path = folder / config / f"{form}-{height}x{width}-{PADDED_TOKENS if padded else tokens}.onnx"
    inputs = example(height, width, tokens, padded)
    files = {name: path.with_name(f"{path.stem}-{tokens}.{name}") for name in inputs}
    expected = path.with_name(f"{path.stem}-{tokens}.expected")
    if not (path.exists() and expected.exists()):
        path.parent.mkdir(parents=True, exist_ok=True)
        model = procedural.fill(glip_torch.Glip(glip_torch.CONFIGS[config], fusion), 1).eval()
        for name, value in inputs.items():
            value.numpy().tofile(files[name])
        with torch.no_grad():
            np.concatenate([result.numpy().ravel() for result in model(*inputs.values())]).tofile(expected)
        if not path.exists():
            unfinished = path.with_suffix(".tmp")
            export(model, inputs, unfinished)
            unfinished.rename(path)
    return path, files, expected
