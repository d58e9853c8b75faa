"""Checks glip_torch.py against the recordings of the original in tests/data: every stage, in the three forms that model.py times.

Run:  /usr/bin/python3 bench/peers/check_glip.py [--onnx] [--full] [--large]
      --onnx adds the exported graphs of the small models on ONNX Runtime, results of the head only,
      --full GLIP-T and GLIP-T (A) at full size (about a minute), --large GLIP-L
Exit: 0 if all stages agree, 1 if not. One line a run: the largest difference per part, relative to each tensor's largest value.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
from PIL import Image

import glip_export
import glip_torch
import peers
import procedural

DATA = pathlib.Path(__file__).parents[2] / "tests/data"
MEAN, STD = np.float32([103.530, 116.280, 123.675]), np.float32([57.375, 57.120, 58.395])

# Which names belong to a part, and what float32 in another order of summation may differ by: see tests/Shared/Tolerance.cs
PARTS = (
    ("text", ("bert.", "lang."), 1e-5),
    ("backbone", ("body.", "fpn."), 1e-5),
    ("P3 to P5", ("tower.", "head."), 6e-5),
    ("P6, P7", (), 3e-4),
)
LARGE_TOWER = 1.5e-4


def read_safetensors(path):
    """name -> array, and the recording's facts"""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    info = json.loads(header.pop("__metadata__")["info"])
    types = {"F32": np.float32, "U8": np.uint8, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        tensors[name] = np.frombuffer(data, types[entry["dtype"]], (last - first) // types[entry["dtype"]]().itemsize, end + first).reshape(entry["shape"])
    return tensors, info


def preprocess(bgr):
    """uint8 [H, W, 3] -> [1, 3, H', W'], normalised, then padded to multiples of 32"""
    h, w = bgr.shape[:2]
    padded = np.zeros((-(-h // 32) * 32, -(-w // 32) * 32, 3), np.float32)
    padded[:h, :w] = (bgr.astype(np.float32) - MEAN) / STD
    return torch.from_numpy(padded.transpose(2, 0, 1)[None].copy())


def picture(path, size_hw):
    image = Image.open(path).convert("RGB")
    if image.size != (size_hw[1], size_hw[0]):
        image = image.resize((size_hw[1], size_hw[0]), Image.BILINEAR)
    return np.asarray(image)[:, :, ::-1]


def part_of(name):
    for part, prefixes, tolerance in PARTS:
        if name.endswith((".P6", ".P7")) and not name.startswith("fpn."):
            return PARTS[-1][0], PARTS[-1][2]
        if name.startswith(prefixes):
            return part, tolerance
    raise ValueError(name)


def to_real_tokens(name, value, tokens):
    if name.startswith(("bert.", "lang.")) or name.endswith(".hidden"):
        return value[:, :tokens]
    return value[:, :, :tokens] if "dot_product_logits" in name else value


def compare(expected, actual, info, large):
    """Arrays by name against a recording: part -> largest relative difference; what is beyond its tolerance."""
    worst, wrong = {}, []
    for name, value in actual.items():
        value = to_real_tokens(name, value, info["n_tokens"])
        if name in expected:
            right = to_real_tokens(name, expected[name], info["n_tokens"])
            if right.shape != value.shape:
                raise SystemExit(f"{name}: expected {right.shape}, found {value.shape}")
            scale = np.abs(right).max()
        elif "sample." + name in expected:
            # Recordings of full size hold the extremes and up to 128 elements of each tensor.
            facts = info["stats"][name]
            right = expected["sample." + name]
            if facts["shape"] != list(value.shape):
                raise SystemExit(f"{name}: expected {facts['shape']}, found {value.shape}")
            scale = max(abs(facts["min"]), abs(facts["max"]))
            value = value.reshape(-1)[:: facts["sample_step"]][:128]
        else:
            continue
        part, tolerance = part_of(name)
        if large and part == "P3 to P5":
            tolerance = LARGE_TOWER
        difference = float(np.abs(right - value).max() / scale)
        if not difference <= tolerance:
            wrong.append(f"{name}: {difference:.1e} of the largest value, allowed {tolerance:.0e}")
        worst[part] = max(difference, worst.get(part, 0))
    return worst, wrong


def report(title, expected, actual, info, large=False):
    """Prints a line; returns how many stages differ."""
    worst, wrong = compare(expected, actual, info, large)
    parts = ", ".join(f"{part} {worst[part]:.1e}" for part, _, _ in PARTS if part in worst)
    print(f"{title}: {parts}{'' if not wrong else '  WRONG'}")
    for line in wrong:
        print("  " + line)
    return len(wrong)


def read_case(path, image_folder):
    """A recording, its facts, and its inputs by name for padded text; None if it has detections only."""
    expected, info = read_safetensors(path)
    if not any(name.removeprefix("sample.").startswith("fpn.") for name in expected):
        return None
    info.update(json.loads(path.with_suffix(".json").read_text()))
    if "pre.resized_u8" in expected:
        resized = expected["pre.resized_u8"]
    else:
        resized = picture(image_folder / pathlib.Path(info["image"]).name, info["resized_hw"])
    integers = lambda name: torch.from_numpy(expected[name].astype(np.int64))
    return expected, info, {"image": preprocess(resized), "ids": integers("text.input_ids"), "keep": integers("text.attention_mask")}


def inputs_of(form, inputs, tokens):
    if glip_export.FORMS[form][1]:
        return inputs
    return {"image": inputs["image"], "ids": inputs["ids"][:, :tokens]}


def forms_of(models):
    return [form for form, (fusion, _) in glip_export.FORMS.items() if fusion in models]


@torch.no_grad()
def run_case(models, path, image_folder, large=False):
    case = read_case(path, image_folder)
    if case is None:
        return 0
    expected, info, inputs = case
    failures = 0
    for form in forms_of(models):
        glip_torch.Recorder.current = recorder = glip_torch.Recorder()
        models[glip_export.FORMS[form][0]](*inputs_of(form, inputs, info["n_tokens"]).values())
        glip_torch.Recorder.current = None
        actual = {name: value.numpy() for name, value in recorder.results.items()}
        failures += report(f"{path.parent.name}/{path.stem}, {form}", expected, actual, info, large)
    return failures


def run_onnx(models, path, image_folder, ort):
    expected, info, inputs = read_case(path, image_folder)
    failures = 0
    for form in forms_of(models):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            mine = inputs_of(form, inputs, info["n_tokens"])
            glip_export.export(models[glip_export.FORMS[form][0]], mine, folder / "graph.onnx")
            for key, value in mine.items():
                value.numpy().tofile(folder / key)
            ort.ask(op="load", model=str(folder / "graph.onnx"), threads=1, level="all", inputs={key: str(folder / key) for key in mine})
            results = ort.ask(op="save", folder=name)["outputs"]
            actual = {key: np.fromfile(folder / f"{i}.bin", np.float32).reshape(dims) for i, (key, dims) in enumerate(results.items())}
            if list(actual) != glip_export.OUTPUTS:
                raise SystemExit(f"{path.stem}: expected outputs {glip_export.OUTPUTS}, found {list(actual)}")
            failures += report(f"{path.parent.name}/{path.stem}, {form}, ONNX Runtime", expected, actual, info)
    return failures


def micro_config(facts):
    swin, bert = facts["swin"], facts["bert"]
    fusion = {"fusion_heads": facts["fusion"]["n_head"], "fusion_width": facts["fusion"]["embed_dim"]} if facts["early_fuse"] else {}
    return glip_torch.Config(
        embed=swin["EMBED_DIM"], depths=tuple(swin["DEPTHS"]), heads=tuple(swin["NUM_HEADS"]), window=swin["WINDOW_SIZE"],
        channels=facts["channels"], layers=facts["num_convs"], fused=facts["early_fuse"],
        text_layers=bert["num_hidden_layers"], text_width=bert["hidden_size"], text_heads=bert["num_attention_heads"],
        text_inner=bert["intermediate_size"], vocabulary=bert["vocab_size"], **fusion)


def build(config, seed):
    """The model in both orders, with the same weights; without fusion there is one order."""
    plain = procedural.fill(glip_torch.Glip(config), seed).eval()
    models = {"plain": plain}
    if config.fused:
        models["folded"] = glip_torch.Glip(config, "folded").eval()
        models["folded"].load_state_dict(plain.state_dict())
    return models


def check_micro(name, ort):
    facts = json.loads((DATA / name / "config.json").read_text())
    models = build(micro_config(facts), facts["seed"])
    ours, theirs = models["plain"].state_dict(), facts["state_dict"]
    ignored = ("cls_logits", "position_ids", "cell_anchors")
    missing = {key for key in theirs if not any(word in key for word in ignored)} ^ set(ours)
    if missing:
        raise SystemExit(f"{name}: parameters on one side only: {sorted(missing)}")
    for key, value in ours.items():
        if list(value.shape) != theirs[key][0]:
            raise SystemExit(f"{key}: expected {theirs[key][0]}, found {list(value.shape)}")
    failures = sum(run_case(models, path, DATA / "images") for path in sorted((DATA / name).glob("*.safetensors")))
    return failures + (run_onnx(models, DATA / name / "c0_full.safetensors", DATA / "images", ort) if ort else 0)


def check_full(config, recording):
    models = build(glip_torch.CONFIGS[config], 1)
    return run_case(models, DATA / "full" / f"{recording}_f0_240x320.safetensors", DATA / "full", config == "glip-l")


def main():
    parser = argparse.ArgumentParser(description="compare glip_torch.py with the recordings in tests/data")
    parser.add_argument("--onnx", action="store_true", help="also the exported graphs of the small models on ONNX Runtime")
    parser.add_argument("--full", action="store_true", help="also GLIP-T and GLIP-T (A) at full size")
    parser.add_argument("--large", action="store_true", help="also GLIP-L")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with peers.onnx_runtime() if args.onnx else contextlib.nullcontext() as ort:
        failures = check_micro("micro_a", ort) + check_micro("micro_b", ort)
    if args.full:
        failures += check_full("glip-t-a", "glip_t_a") + check_full("glip-t", "glip_t_c")
    if args.large:
        failures += check_full("glip-l", "glip_l")
    print("all stages agree" if failures == 0 else f"{failures} stages differ")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
