"""The fixed evaluation: scenes by seed, detections by the engine or by PyTorch, figures.

    python3 evaluate.py scenes FOLDER --sprites FILE          pictures and scenes.jsonl
    python3 evaluate.py torch FOLDER WEIGHTS.pth OUT.jsonl    detections by PyTorch, in single precision
    dotnet run -c Release --project weights-tools/train/SceneRunner -- FOLDER OUT.jsonl [MODEL]    detections by the engine
    python3 evaluate.py report FOLDER OUT.jsonl               figures
    python3 evaluate.py calibrate FOLDER OUT.jsonl            what each threshold finds and lets through
    python3 evaluate.py compare FOLDER A.jsonl B.jsonl        do two lists of detections agree?
    python3 evaluate.py samples WEIGHTS.pth                   rewrites tests/data/nano/expected.json, what the tests expect in samples/
"""
import argparse
import json
import math
import os
import pathlib
import random
import sys

os.environ.setdefault("GLIP_TRAIN_EXACT", "1")

import numpy as np

from average_precision import average_precision
from names import INDEX, NAMES

# What the first shipped model knew: the comparison with it.
FIRST_NAMES = ["banana", "strawberry", "pizza", "hamburger", "butterfly", "soccer ball", "basketball", "bicycle", "automobile", "sailboat",
               "rose", "sunflower", "red apple", "green apple", "key", "guitar", "alarm clock", "light bulb", "umbrella", "crown"] + [
    f"{c} {s}" for c in ("red", "green", "blue", "yellow", "purple") for s in ("circle", "square", "triangle")]

SIDES = [(256, 256), (320, 256), (320, 320), (384, 288), (512, 384)]
LOWEST = .05   # detections that count for average precision
THRESHOLD = .505  # what "found" and "false" mean, unless told


def make_set(composer, name, seed, count):
    """Scenes of one set: (image, phrases [(text, name index or -1)], truth [(name index, box)])"""
    from prompts import absent_names
    from sprites import HELD_OUT_VENDOR, TRAINING_VENDORS
    rng = random.Random(seed)
    held = name.startswith("held-out")
    vendors = [HELD_OUT_VENDOR] if held else TRAINING_VENDORS
    while count:
        width, height = rng.choice(SIDES)
        options = {"kind": rng.choice(["some", "some", "some", "large", "layout"]), "augment": 0}
        pool = None
        if name == "colours":
            options |= {"shapes": 1., "kind": "some"}
        elif name.startswith("first"):
            options |= {"names": FIRST_NAMES, "kind": "some"}
            pool = FIRST_NAMES
        elif "tiny" in name:
            options |= {"kind": "some", "sizes": (24, 24.5)}
        elif "frame" in name:
            options |= {"kind": "some", "sizes": (.94 * min(width, height), .99 * min(width, height))}
        scene = composer.scene(rng, width, height, vendors=vendors, **options)
        if "frame" in name:
            scene.boxes, scene.labels = scene.boxes[:1], scene.labels[:1]
        if not scene.labels:
            continue
        present = sorted(set(scene.labels))
        if pool:
            absent = [n for n in pool if INDEX[n] not in present]
            absent = rng.sample(absent, min(20, len(absent)))
        else:
            absent = absent_names(rng, scene.labels, 20)
        chosen = [] if name == "absent only" else present
        wrong = [] if name.endswith("present") else absent
        phrases = [(NAMES[l], l) for l in chosen] + [(n, -1) for n in wrong]
        rng.shuffle(phrases)
        truth = [] if name == "absent only" else list(zip(scene.labels, scene.boxes))
        yield scene.image, phrases, truth
        count -= 1


SETS = {"seen, present": 60, "seen + 20": 100, "held-out, present": 60, "held-out + 20": 100, "absent only": 400, "colours": 50,
        "tiny": 100, "frame": 200, "first names + 20": 50}


def write_scenes(options):
    from scenes import Composer, Sprites
    folder = pathlib.Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    composer = Composer(Sprites(options.sprites))
    with open(folder / "scenes.jsonl", "w") as lines:
        for number, (name, count) in enumerate(SETS.items()):
            for i, (image, phrases, truth) in enumerate(make_set(composer, name, options.seed + number, math.ceil(count * options.share))):
                file = f"{number}-{i:03}.png"
                image.save(folder / file)
                prompt = "".join(f"{text} . " for text, _ in phrases)
                lines.write(json.dumps({"set": name, "image": file, "prompt": prompt, "labels": [l for _, l in phrases], "truth": truth}) + "\n")


def read(path):
    return [json.loads(line) for line in open(path)]


def load(weights):
    import torch
    from model import Glip
    from prompts import VOCABULARY
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = Glip(len(VOCABULARY))
    model.load(torch.load(weights)["model"])
    return model.eval()


def detect_torch(model, path, prompt_text, least=0, most=0):
    """The engine's way in PyTorch: resize, pad to 32, detect, scale back. -> [(phrase from 0, score, box)], best first"""
    import torch
    import torch.nn.functional as F
    from PIL import Image
    from losses import detect
    from prompts import image_tensor, listed, pad
    image = Image.open(path).convert("RGB")
    width, height = image.size
    w, h = test_size(width, height, least, most)
    x = F.pad(image_tensor(image.resize((w, h), Image.BILINEAR) if (w, h) != image.size else image), (0, -w % 32, 0, -h % 32))
    prompt = listed([(t, i) for i, t in enumerate(prompt_text.removesuffix(" . ").split(" . "))])
    ids, mask = pad([prompt])
    with torch.no_grad():
        boxes, scores, phrases = detect(model(x[None], ids, mask), [prompt], [(h, w)])[0]
    boxes = boxes * torch.tensor([width / w, height / h] * 2)
    return list(zip(phrases.tolist(), scores.tolist(), boxes.tolist()))


def run_torch(options):
    model, folder = load(options.weights), pathlib.Path(options.folder)
    with open(options.out, "w") as out:
        for scene in read(folder / "scenes.jsonl"):
            if options.only in scene["set"]:
                found = detect_torch(model, folder / scene["image"], scene["prompt"], options.min_size, options.max_size)
                out.write(json.dumps({"image": scene["image"], "detections": [
                    {"label": p + 1, "score": s, "box": b} for p, s, b in found]}) + "\n")


def write_samples(options):
    """Detections over 0.3 in the sample pictures at their own size; the prompt is the names of the truth."""
    root = pathlib.Path(__file__).parents[2]
    model, data = load(options.weights), root / "tests/data/nano"
    scenes = []
    for scene in json.loads((data / "truth.json").read_text()):
        prompt = "".join(f"{n} . " for n in scene["names"])
        found = detect_torch(model, root / "samples" / scene["image"], prompt)
        scenes.append({"image": scene["image"], "prompt": prompt, "names": scene["names"], "detections": [
            {"score": round(s, 4), "phrase": scene["names"][p], "box": [round(v, 2) for v in b]} for p, s, b in found if s > .3]})
    (data / "expected.json").write_text(json.dumps(scenes, indent=1))


def test_size(width, height, least, most):
    """GLIP's resize: the shorter side to `least`, the longer at most `most`; 0 for none"""
    if not least:
        return width, height
    short, long = min(width, height), max(width, height)
    target = least
    if most and long / short * target > most:
        target = round(most * short / long)
    if short == target:
        return width, height
    other = int(target * long / short)
    return (target, other) if width < height else (other, target)


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(0, w) * max(0, h)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def report(options):
    scenes = read(pathlib.Path(options.folder) / "scenes.jsonl")
    found = {d["image"]: d["detections"] for d in read(options.detections)}
    print(f"| set | scenes | objects | AP50 | AP | found at {options.threshold} | false boxes an image |\n|---|---|---|---|---|---|---|")
    for name in SETS:
        part = [s for s in scenes if s["set"] == name and s["image"] in found]
        if not part:
            continue
        detections, truths, hits, false = [], [], 0, 0
        for s in part:
            asked = [INDEX[text] for text in s["prompt"].removesuffix(" . ").split(" . ")]  # absent names count against their class
            named = [(asked[d["label"] - 1], d["score"], d["box"]) for d in found[s["image"]]]
            detections += [(s["image"], *d) for d in named]
            truths += [(s["image"], l, b) for l, b in s["truth"]]
            above = [d for d in named if d[1] > options.threshold]
            hits += sum(any(d[0] == l and iou(d[2], b) >= .5 for d in above) for l, b in s["truth"])
            false += sum(not any(d[0] == l and iou(d[2], b) >= .5 for l, b in s["truth"]) for d in above)
        row = f"| {name} | {len(part)} | {len(truths)} | "
        if truths:
            per = np.array(list(average_precision(detections, truths).values()))
            row += f"{per[:, 0].mean():.3f} | {per.mean():.3f} | {100 * hits / len(truths):.0f} % | "
        else:
            row += "– | – | – | "
        print(row + f"{false / len(part):.2f} |")


def calibrate(options):
    """Which threshold? Boxes an image for absent names, and what is found, by threshold."""
    scenes = read(pathlib.Path(options.folder) / "scenes.jsonl")
    found = {d["image"]: d["detections"] for d in read(options.detections)}
    print("| threshold | false boxes, absent only | " + " | ".join(f"found, {n}" for n in SETS if n != "absent only") + " |\n" + "|---" * (len(SETS) + 1) + "|")
    for threshold in np.arange(.3, .75, .025):
        row = [f"{threshold:.3f}"]
        for name in sorted(SETS, key=lambda n: n != "absent only"):
            part = [s for s in scenes if s["set"] == name and s["image"] in found]
            above = {s["image"]: [d for d in found[s["image"]] if d["score"] > threshold] for s in part}
            if name == "absent only":
                row.append(f"{sum(map(len, above.values())) / max(1, len(part)):.2f}")
            else:
                right = [any(s["labels"][d["label"] - 1] == l and iou(d["box"], b) >= .5 for d in above[s["image"]])
                         for s in part for l, b in s["truth"]]
                row.append(f"{100 * np.mean(right):.0f} %" if right else "–")
        print("| " + " | ".join(row) + " |")


def compare(options):
    """One to one by label, score and corners; what is near the lower end of the scores may be in one only."""
    a, b = ({d["image"]: d["detections"] for d in read(p)} for p in (options.a, options.b))
    matched = alone = 0
    score_error = corner_error = 0.
    for image in sorted(a.keys() & b.keys()):
        rest = list(b[image])
        for d in a[image]:
            near = [e for e in rest if e["label"] == d["label"] and abs(e["score"] - d["score"]) < options.scores
                    and max(abs(p - q) for p, q in zip(d["box"], e["box"])) < options.corners]
            if near:
                e = min(near, key=lambda e: max(abs(p - q) for p, q in zip(d["box"], e["box"])))
                rest.remove(e)
                matched += 1
                score_error = max(score_error, abs(e["score"] - d["score"]))
                corner_error = max(corner_error, max(abs(p - q) for p, q in zip(d["box"], e["box"])))
            elif d["score"] > options.above:
                alone += 1
                print(f"{image}: only in the first: {d}")
        for e in rest:
            if e["score"] > options.above:
                alone += 1
                print(f"{image}: only in the second: {e}")
    print(f"{len(a.keys() & b.keys())} scenes, {matched} detections agree (scores within {score_error:.1e}, corners within {corner_error:.3f} px), "
          f"{alone} stand alone")
    return 1 if alone else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    c = commands.add_parser("scenes")
    c.add_argument("folder")
    c.add_argument("--sprites", required=True)
    c.add_argument("--share", type=float, default=1., help="share of the scenes, for a quick look")
    c.add_argument("--seed", type=int, default=900_000, help="other scenes, to choose threshold and size on")
    c.set_defaults(run=write_scenes)
    c = commands.add_parser("torch")
    c.add_argument("folder")
    c.add_argument("weights")
    c.add_argument("out")
    c.add_argument("--min-size", type=int, default=0)
    c.add_argument("--max-size", type=int, default=0)
    c.add_argument("--only", default="", help="sets whose name contains this")
    c.set_defaults(run=run_torch)
    c = commands.add_parser("samples")
    c.add_argument("weights")
    c.set_defaults(run=write_samples)
    c = commands.add_parser("report")
    c.add_argument("folder")
    c.add_argument("detections")
    c.add_argument("--threshold", type=float, default=THRESHOLD)
    c.set_defaults(run=report)
    c = commands.add_parser("calibrate")
    c.add_argument("folder")
    c.add_argument("detections")
    c.set_defaults(run=calibrate)
    c = commands.add_parser("compare")
    c.add_argument("folder")
    c.add_argument("a")
    c.add_argument("b")
    c.add_argument("--scores", type=float, default=1e-3)
    c.add_argument("--corners", type=float, default=.1)
    c.add_argument("--above", type=float, default=.1, help="lower scores may differ in what is listed")
    c.set_defaults(run=compare)
    options = parser.parse_args()
    sys.exit(options.run(options))


if __name__ == "__main__":
    main()
