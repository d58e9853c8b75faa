"""Trains glip-nano on synthetic scenes: two processes of one thread share the weights. See README.

    python3 train.py --out artifacts/train --sprites artifacts/train/sprites.npz --until 2030-01-01T12:00 [--start first.pth]

Run again, it goes on from OUT/checkpoint.pt. The learning rate falls by the clock, so that it ends at --until at any speed; the
processes may be stopped (kill -STOP -- -$(cat OUT/train.pid)) and continued at will; SIGTERM to the group saves and ends.
"""
import argparse
import datetime
import json
import math
import os
import pathlib
import random
import signal
import sys
import time

import torch
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F

from average_precision import summary
from kernels import call
from losses import Assignment, detect, detection_losses
from model import Glip, flat
from names import INDEX, NAMES
from prompts import VOCABULARY, Confusion, absent_names, all_names, image_tensor, listed, pad, training_prompt
from scenes import Composer, Sprites, _background_bank
from sprites import HELD_OUT_VENDOR, TRAINING_VENDORS

import ctypes

PROCESSES = 2
# Sides of scenes and how often. 224 divides into windows of 7 on all levels; the model's test size is 320. Objects that fill the frame are
# learned from the latter: the coarsest levels have next to no cells in small scenes.
SIZES = {(224, 224): .30, (224, 320): .05, (320, 224): .05, (160, 160): .05, (320, 320): .30, (320, 416): .10, (416, 320): .10, (448, 448): .05}
# Kinds of the scenes of 320 pixels and more, whatever else the composer would choose: some with one or two large objects, some with one that fills the frame.
LARGE_KINDS = {"large": .35, "frame": .25, None: .4}
SCALED = .4  # share of the batches whose scenes are drawn at another size and scaled to this one, as pictures are at their way in


def batch(rng, composer, height, width, count, augment, kind=None):
    scale = math.exp(rng.uniform(math.log(.75), math.log(1.6))) if rng.random() < SCALED else 1
    scenes = [composer.scene(rng, round(scale * width), round(scale * height), kind=kind, augment=augment).scaled(width, height) for _ in range(count)]
    return torch.stack([image_tensor(s.image) for s in scenes]), scenes


def targets(rng, scenes, confusion):
    """Prompts, boxes that their phrases mean, which token means which box, names of the boxes"""
    prompts = [training_prompt(rng, s, confusion) for s in scenes]
    ids, mask = pad(prompts)
    boxes, meaning, labels = [], [], []
    for s, p in zip(scenes, prompts):
        rows = {}
        for _, positions, objects in p.phrases:
            for o in objects:
                rows.setdefault(o, torch.zeros(ids.shape[1]))[positions] = 1
        boxes.append(torch.tensor([s.boxes[o] for o in rows], dtype=torch.float32).view(-1, 4))
        meaning.append(torch.stack(list(rows.values())) if rows else torch.zeros(0, ids.shape[1]))
        labels.append(torch.tensor([s.labels[o] for o in rows], dtype=torch.long))
    return ids, mask, boxes, meaning, labels


class NameLoss:
    """Which of all names does the pyramid's feature at an object's cells look like? Teaches the backbone every name at every step, and
    shows which names are mistaken for each other."""

    def __init__(self, confusion):
        self.scale, self.confusion = torch.nn.Parameter(torch.tensor(2.5)), confusion

    def __call__(self, model, rng, levels, assignment, labels):
        prompts, where = all_names(rng)
        ids, mask = pad(prompts)
        tokens = model.text(ids, mask)
        pick = torch.zeros(len(NAMES), len(prompts) * ids.shape[1])
        for name, (prompt, positions) in enumerate(where):
            pick[name, [prompt * ids.shape[1] + p for p in positions]] = 1 / len(positions)
        words = model.rpn.head.dot_product_projection_text(F.normalize(pick @ tokens.flatten(0, 1), dim=-1))
        features = flat(levels)[assignment.image, assignment.cell]
        logits = F.normalize(features, dim=-1) @ F.normalize(words, dim=-1).t() * self.scale.exp()
        self.confusion.see(labels, logits.detach().softmax(-1))
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean().item()


def evaluation_set(composer, seed, count, vendors, side=256):
    """Scenes without augmentation, with twenty absent names in the prompt."""
    rng, scenes = random.Random(seed), []
    while len(scenes) < count:
        s = composer.scene(rng, side, side, vendors=vendors, augment=0, kind=rng.choice(["some", "some", "large"]))
        if s.labels:
            s.prompt = listed([(NAMES[l], l) for l in sorted(set(s.labels))] + [(n, INDEX[n]) for n in absent_names(rng, s.labels, 20)])
            s.truth = [(l, b) for l, b in zip(s.labels, s.boxes)]
            scenes.append(s)
    return scenes


@torch.no_grad()
def evaluate(model, scenes):
    """-> AP50, AP, boxes of absent names over 0.5 an image"""
    detections, truths, false = [], [], 0
    for i, s in enumerate(scenes):
        ids, mask = pad([s.prompt])
        box, score, phrase = detect(model(image_tensor(s.image)[None], ids, mask), [s.prompt], [s.image.size[::-1]])[0]
        for b, c, p in zip(box.tolist(), score.tolist(), phrase.tolist()):
            label = s.prompt.phrases[p][2]
            detections.append((i, label, c, b))
            false += c > .5 and label not in s.labels
        truths += [(i, l, b) for l, b in s.truth]
    return (*summary(detections, truths), false / len(scenes))


class Shared:
    """Memory of all processes: weights, state of the optimiser, counters."""

    COUNTERS = ("batches", "updates", "images", "objects", "stale", "begin")

    def __init__(self, size, context):
        zeros = lambda: torch.zeros(size).share_memory_()
        self.weights, self.first, self.second = zeros(), zeros(), zeros()
        self.numbers = torch.zeros(len(self.COUNTERS), dtype=torch.float64).share_memory_()
        self.sums = torch.zeros(7, dtype=torch.float64).share_memory_()
        self.lock, self.ended = context.Lock(), context.Value("i", 0)

    def __getitem__(self, counter):
        return float(self.numbers[self.COUNTERS.index(counter)])

    def __setitem__(self, counter, value):
        self.numbers[self.COUNTERS.index(counter)] = value

    def state(self):
        return {"weights": self.weights.clone(), "first": self.first.clone(), "second": self.second.clone(), "numbers": self.numbers.clone()}

    def restore(self, state):
        for key in ("weights", "first", "second", "numbers"):
            getattr(self, key).copy_(state[key])


def is_decayed(name, p):
    return p.ndim > 1 and "bias_table" not in name and "embeddings" not in name


def flatten_into(parameters, memory, gradients):
    start = 0
    for _, p in parameters:
        n = p.numel()
        p.data = memory[start:start + n].view(p.shape)
        p.grad = gradients[start:start + n].view(p.shape)
        start += n


def progress_of(options, shared):
    """Share of the training that is done, by the clock or by images"""
    done, all_ = (shared["images"], options.images) if options.images else (time.time() - shared["begin"], end(options) - shared["begin"])
    return min(1, max(0, done / all_))


def end(options):
    return datetime.datetime.fromisoformat(options.until).timestamp()


def rate_at(options, shared):
    progress = progress_of(options, shared)
    return options.rate * min(1, (shared["updates"] + 1) / 150) * (.5 + .5 * math.cos(math.pi * progress)) + 2e-6


def work(rank, options, composer, shared, parts):
    """One process: copies the weights, takes a batch, adds its update. Nobody waits for anybody, so that an idle core is used even
    while the other process gets no time; a gradient that came too late is dropped."""
    os.nice(19 - os.nice(0))
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model, name_loss, parameters, decay = parts
    out = pathlib.Path(options.out)
    weights, gradient = torch.zeros_like(shared.weights), torch.zeros_like(shared.weights)
    flatten_into(parameters, weights, gradient)
    signal.signal(signal.SIGTERM, lambda *_: setattr(shared.ended, "value", 1))
    keeper = Keeper(options, composer, shared, parts, out) if rank == 0 else None
    while not shared.ended.value and progress_of(options, shared) < 1:
        with shared.lock:
            weights.copy_(shared.weights)
            number, seen = shared["batches"], shared["updates"]
            shared["batches"] += 1
        rng = random.Random(f"{options.seed} {number:.0f}")
        progress = progress_of(options, shared)
        gradient.zero_()
        counts, values = step(model, name_loss, composer, rng, progress, shared["images"] < options.pretrain, options)
        norm = float(gradient.norm())
        with shared.lock:
            if shared["updates"] - seen > 8 or not math.isfinite(norm):
                shared["stale"] += 1
                continue
            rate = rate_at(options, shared)
            shared["updates"] += 1
            shared["images"] += counts[0]
            shared["objects"] += counts[1]
            b1, b2 = .9, .98
            call("adamw", ctypes.c_long(len(weights)), shared.weights, gradient, shared.first, shared.second, decay,
                 min(1., options.clip / (norm + 1e-6)), rate, options.decay, b1, b2, 1 - b1 ** shared["updates"],
                 1 - b2 ** shared["updates"])
            shared.sums += torch.tensor([*values, norm, 1])
        if keeper:
            keeper.look(rate)
    if keeper:
        keeper.save()
        if not shared.ended.value:
            keeper.evaluate()


def step(model, name_loss, composer, rng, progress, only_names, options):
    """Gradients of one batch. -> (images, objects), (token, box, centre, names loss, share of names right)"""
    height, width = rng.choices(list(SIZES), list(SIZES.values()))[0]
    count = max(1, round(options.batch * 224 ** 2 / (height * width)))
    augment = min(1., .3 + 1.5 * progress)  # first how things look, then how else they can look
    kind = "many" if only_names and rng.random() < .7 else None
    if kind is None and min(height, width) >= 320:
        kind = rng.choices(list(LARGE_KINDS), list(LARGE_KINDS.values()))[0]
    images, scenes = batch(rng, composer, height, width, count, augment, kind)
    levels = model.backbone(images)
    if only_names:
        boxes = [torch.tensor(s.boxes, dtype=torch.float32).view(-1, 4) for s in scenes]
        assignment = Assignment(boxes, [tuple(x.shape[1:3]) for x in levels])
        labels = [torch.tensor(s.labels, dtype=torch.long) for s in scenes]
        parts = [torch.zeros(())] * 3
    else:
        ids, mask, boxes, meaning, labels = targets(rng, scenes, name_loss.confusion)
        output = model.rpn.head(levels, model.text(ids, mask), mask)
        *parts, assignment = detection_losses(output, boxes, meaning, mask)
    named, accuracy = torch.zeros(()), 0.
    if len(assignment.cell):
        per_image = torch.cat([l[assignment.object[assignment.image == i]] for i, l in enumerate(labels)])
        named, accuracy = name_loss(model, rng, levels, assignment, per_image)
    loss = sum(parts) + options.names_weight * (2 if only_names else 1) * named
    if loss.requires_grad:  # a batch without an object teaches no names
        loss.backward()
    return (count, sum(map(len, boxes))), (*[float(p) for p in parts], float(named), accuracy)


class Keeper:
    """The first process also writes the log, the checkpoints and the quick evaluations."""

    def __init__(self, options, composer, shared, parts, out):
        self.options, self.shared, self.parts, self.out = options, shared, parts, out
        self.seen = evaluation_set(composer, 51, options.evaluation, TRAINING_VENDORS)
        self.held_out = evaluation_set(composer, 52, options.evaluation, [HELD_OUT_VENDOR])
        self.log = open(out / "log", "a", buffering=1)
        self.say(f"begins at update {shared['updates']:.0f}, {vars(options)}")
        now = time.time()
        self.next_save, self.next_evaluation, self.mark = now + 180, now + 60 * options.every, (now, shared["images"])

    def say(self, text):
        self.log.write(f"{datetime.datetime.now():%H:%M:%S} {text}\n")

    def look(self, rate):
        s = self.shared
        if s.sums[-1] >= 25:
            with s.lock:
                token, box, centre, names, right, norm, _ = (s.sums / s.sums[-1]).tolist()
                s.sums.zero_()
            now, images = time.time(), s["images"]
            self.say(f"update {s['updates']:.0f} images {images:.0f} objects {s['objects']:.0f} stale {s['stale']:.0f} rate {rate:.2e} "
                     f"token {token:.3f} box {box:.3f} centre {centre:.3f} names {names:.3f} right {right:.3f} norm {norm:.2f} "
                     f"images/s {(images - self.mark[1]) / (now - self.mark[0]):.1f}{' names only' if images < self.options.pretrain else ''}")
            self.mark = now, images
        if time.time() > self.next_save:
            self.save()
        if time.time() > self.next_evaluation:
            self.evaluate()

    def save(self):
        with self.shared.lock:
            state = self.shared.state()
        torch.save(state, self.out / "checkpoint.tmp")
        os.replace(self.out / "checkpoint.tmp", self.out / "checkpoint.pt")
        write_official(self.parts[0], self.parts[2], state["weights"], self.out / "glip-nano.pth")
        self.next_save = time.time() + 180

    def evaluate(self):
        a, b = evaluate(self.parts[0], self.seen), evaluate(self.parts[0], self.held_out)
        s = self.shared
        self.say(f"EVAL update {s['updates']:.0f} images {s['images']:.0f} objects {s['objects']:.0f} | seen AP50 {a[0]:.3f} AP {a[1]:.3f} "
                 f"false {a[2]:.2f} | held-out AP50 {b[0]:.3f} AP {b[1]:.3f} false {b[2]:.2f}")
        self.next_evaluation = time.time() + 60 * self.options.every


def read_weights(path):
    """State dict of a checkpoint in the official layout, or of a model file (.safetensors)"""
    if not path.endswith(".safetensors"):
        return torch.load(path)["model"]
    data = pathlib.Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    types = {"F16": torch.float16, "F32": torch.float32}
    state = dict(Glip(len(VOCABULARY)).named_buffers())  # follow from the sizes, are not in the file
    for name, entry in json.loads(data[8:start]).items():
        if entry.get("dtype") in types:
            first, end = entry["data_offsets"]
            values = torch.frombuffer(bytearray(data[start + first:start + end]), dtype=types[entry["dtype"]])
            state[name] = values.float().view(entry["shape"])
    return state


def write_official(model, parameters, weights, path):
    """The original's layout: {"model": {"module.…": tensor}}, buffers included"""
    state, start = {}, 0
    for name, p in parameters:
        if not name.startswith("name_loss"):
            state["module." + name] = weights[start:start + p.numel()].view(p.shape).clone()
        start += p.numel()
    state |= {"module." + n: b.clone() for n, b in model.named_buffers()}
    torch.save({"model": state}, path)


# Large blocks of memory are kept, not returned to the system after each use: half of the time else goes into page faults.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 34), "MALLOC_TOP_PAD_": str(1 << 28),
             "OMP_NUM_THREADS": "1"}


def main():
    if any(os.environ.get(k) != v for k, v in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ALLOCATOR)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="folder of checkpoint, log and weights")
    parser.add_argument("--sprites", required=True, help="file that sprites.py wrote")
    when = parser.add_mutually_exclusive_group(required=True)
    when.add_argument("--until", help="when training ends, ISO date and time")
    when.add_argument("--images", type=int, help="after how many images training ends")
    parser.add_argument("--start", default="", help="weights to start from: a checkpoint in the official layout or a model file")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--batch", type=int, default=12, help="scenes of 224 pixels to an update; of larger ones fewer, of smaller ones more")
    parser.add_argument("--decay", type=float, default=.05)
    parser.add_argument("--clip", type=float, default=1.)
    parser.add_argument("--pretrain", type=int, default=20000, help="first images: names of objects only, without the head")
    parser.add_argument("--fresh-clock", action="store_true", help="the fall of the learning rate starts again now")
    parser.add_argument("--names-weight", type=float, default=.5)
    parser.add_argument("--every", type=float, default=8, help="minutes between evaluations")
    parser.add_argument("--evaluation", type=int, default=40, help="scenes of a quick evaluation")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)  # one group, to be stopped as a whole
    (out / "train.pid").write_text(f"{os.getpid()}\n")
    composer = Composer(Sprites(options.sprites))
    _background_bank()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    confusion = Confusion()
    confusion.shares.share_memory_()
    model, name_loss = Glip(len(VOCABULARY)), NameLoss(confusion)
    parameters = list(model.named_parameters()) + [("name_loss.scale", name_loss.scale)]
    decay = torch.cat([torch.full((p.numel(),), int(is_decayed(n, p)), dtype=torch.uint8) for n, p in parameters])
    context = multiprocessing.get_context("fork")
    shared = Shared(len(decay), context)
    if (out / "checkpoint.pt").exists():
        shared.restore(torch.load(out / "checkpoint.pt"))
        if options.fresh_clock:
            shared["begin"] = time.time()
    else:
        if options.start:
            model.load(read_weights(options.start))
        shared.weights.copy_(torch.cat([p.data.flatten() for _, p in parameters]))
        shared["begin"] = time.time()
    workers = [context.Process(target=work, args=(r, options, composer, shared, (model, name_loss, parameters, decay)))
               for r in range(PROCESSES)]
    for w in workers:
        w.start()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the workers save and end
    for w in workers:
        w.join()
    (out / "train.pid").unlink()


if __name__ == "__main__":
    main()
