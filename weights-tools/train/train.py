"""Trains glip-nano on synthetic scenes: two processes of one thread share weights and gradients. See README.

    python3 train.py --out artifacts/train --sprites artifacts/train/sprites.npz --until 2030-01-01T12:00 [--start first.pth]

Run again, it goes on from OUT/checkpoint.pt. The learning rate falls by the clock, so that it ends at --until at any speed; the
processes may be stopped (kill -STOP -- -$(cat OUT/train.pid)) and continued at will; SIGTERM to the group saves and ends.
"""
import argparse
import datetime
import math
import os
import pathlib
import random
import signal
import time

import torch
import torch.multiprocessing as multiprocessing
import torch.nn.functional as F

from average_precision import summary
from kernels import call
from losses import Assignment, detect, detection_losses
from model import Glip
from names import NAMES
from prompts import VOCABULARY, absent_names, all_names, image_tensor, listed, pad, training_prompt
from scenes import Composer, Sprites, _background_bank
from sprites import HELD_OUT_VENDOR, TRAINING_VENDORS

import ctypes

PROCESSES = 2
# Sides of scenes, how often, and how many to a step and process. 224 divides into windows of 7 on all levels.
SIZES = [((224, 224), .60, 8), ((224, 320), .08, 5), ((320, 224), .08, 5), ((160, 160), .08, 16), ((320, 320), .12, 4), ((448, 448), .04, 2)]


def batch(rng, composer, height, width, count, augment, kind=None):
    scenes = [composer.scene(rng, width, height, kind=kind, augment=augment) for _ in range(count)]
    return torch.stack([image_tensor(s.image) for s in scenes]), scenes


def targets(rng, scenes):
    """Prompts, boxes that their phrases mean, which token means which box, names of the boxes"""
    prompts = [training_prompt(rng, s) for s in scenes]
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
    """Which of all names does the pyramid's feature at an object's cells look like? Teaches the backbone every name at every step."""

    def __init__(self):
        self.scale = torch.nn.Parameter(torch.tensor(2.5))

    def __call__(self, model, rng, levels, assignment, labels):
        prompts, where = all_names(rng)
        ids, mask = pad(prompts)
        tokens = model.text(ids, mask)
        pick = torch.zeros(len(NAMES), len(prompts) * ids.shape[1])
        for name, (prompt, positions) in enumerate(where):
            pick[name, [prompt * ids.shape[1] + p for p in positions]] = 1 / len(positions)
        words = model.rpn.head.dot_product_projection_text(F.normalize(pick @ tokens.flatten(0, 1), dim=-1))
        features = torch.cat([x.flatten(2).transpose(1, 2) for x in levels], 1)[assignment.image, assignment.cell]
        logits = F.normalize(features, dim=-1) @ F.normalize(words, dim=-1).t() * self.scale.exp()
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean().item()


def evaluation_set(composer, seed, count, vendors, side=256):
    """Scenes without augmentation, with twenty absent names in the prompt."""
    rng, scenes = random.Random(seed), []
    while len(scenes) < count:
        s = composer.scene(rng, side, side, vendors=vendors, augment=0, kind=rng.choice(["some", "some", "large"]))
        if s.labels:
            s.prompt = listed([(NAMES[l], l) for l in sorted(set(s.labels))] + [(n, -1) for n in absent_names(rng, s.labels, 20)])
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
            false += label < 0 and c > .5
        truths += [(i, l, b) for l, b in s.truth]
    return (*summary(detections, truths), false / len(scenes))


class Shared:
    """Memory of all processes: weights, gradients of each, state of the optimiser."""

    def __init__(self, size):
        zeros = lambda: torch.zeros(size).share_memory_()
        self.weights, self.first, self.second, self.slow = zeros(), zeros(), zeros(), zeros()
        self.gradients = [zeros() for _ in range(PROCESSES)]
        self.numbers = torch.zeros(16, dtype=torch.float64).share_memory_()


def is_decayed(name, p):
    return p.ndim > 1 and "bias_table" not in name and "embeddings" not in name


def flatten_into(parameters, memory, gradients):
    start = 0
    for _, p in parameters:
        n = p.numel()
        p.data = memory[start:start + n].view(p.shape)
        p.grad = gradients[start:start + n].view(p.shape)
        start += n


def work(rank, options, composer, barrier, shared):
    os.nice(19 - os.nice(0))
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(options.seed)
    out = pathlib.Path(options.out)
    model, name_loss = Glip(len(VOCABULARY)), NameLoss()
    parameters = list(model.named_parameters()) + [("name_loss.scale", name_loss.scale)]
    decay = torch.cat([torch.full((p.numel(),), int(is_decayed(n, p)), dtype=torch.uint8) for n, p in parameters])
    size = len(decay)
    state = {"step": 0, "images": 0, "objects": 0, "begin": time.time(), "adam": 0}
    checkpoint = torch.load(out / "checkpoint.pt") if (out / "checkpoint.pt").exists() else None
    if rank == 0:
        if checkpoint is None:
            if options.start:
                model.load(torch.load(options.start)["model"])
            shared.weights.copy_(torch.cat([p.data.flatten() for _, p in parameters]))
            shared.slow.copy_(shared.weights)
        else:
            for key in ("weights", "first", "second", "slow"):
                getattr(shared, key).copy_(checkpoint[key])
    rng, size_rng = random.Random(options.seed * 1000 + rank), random.Random(options.seed * 1000 + 999)
    if checkpoint is not None:
        state = checkpoint["state"]
        rng.setstate(checkpoint["random"][rank])
        size_rng.setstate(checkpoint["size_random"])
    barrier.wait()
    gradient = shared.gradients[rank]
    flatten_into(parameters, shared.weights, gradient)
    mine = slice(rank * size // PROCESSES, (rank + 1) * size // PROCESSES)

    held_out = rank % 2 == 1
    scenes = evaluation_set(composer, 51 + held_out, options.evaluation, [HELD_OUT_VENDOR] if held_out else TRAINING_VENDORS)
    log = open(out / "log", "a", buffering=1) if rank == 0 else None
    say = (lambda text: log.write(f"{datetime.datetime.now():%H:%M:%S} {text}\n")) if log else (lambda text: None)
    say(f"{'continued' if checkpoint else 'new'} at step {state['step']}, {size} parameters, {vars(options)}")

    def save():
        """Both processes hand in their random state; the first writes, and the official layout beside it."""
        torch.save(rng.getstate(), out / f"random{rank}.tmp")
        barrier.wait()
        if rank == 0:
            data = {k: getattr(shared, k).clone() for k in ("weights", "first", "second", "slow")}
            data |= {"state": dict(state), "size_random": size_rng.getstate(),
                     "random": [torch.load(out / f"random{r}.tmp") for r in range(PROCESSES)]}
            torch.save(data, out / "checkpoint.tmp")
            os.replace(out / "checkpoint.tmp", out / "checkpoint.pt")
            for weights, file in ((shared.weights, "glip-nano.pth"), (shared.slow, "glip-nano-mean.pth")):
                write_official(model, parameters, weights, out / file)
        barrier.wait()

    asked_to_end = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.append(True))
    until = datetime.datetime.fromisoformat(options.until).timestamp()
    next_save, next_evaluation = time.time() + 180, time.time() + 60 * options.every
    sums, mark, mark_images = [0.] * 6, time.time(), state["images"]
    while True:
        # The first process reads the clock for both.
        if rank == 0:
            now = time.time()
            shared.numbers[:6] = torch.tensor([now, now > next_save, now > next_evaluation, now >= until, bool(asked_to_end), 0])
        barrier.wait()
        now, saves, evaluates, ends, breaks = shared.numbers[:5].tolist()
        if saves or ends or breaks:
            save()
            next_save = time.time() + 180
        if breaks:
            break
        if evaluates or ends:
            ap50, ap, false = evaluate(model, scenes)
            shared.numbers[6 + 3 * rank:9 + 3 * rank] = torch.tensor([ap50, ap, false])
            barrier.wait()
            n = shared.numbers
            say(f"EVAL step {state['step']} images {state['images']} objects {state['objects']} | seen AP50 {n[6]:.3f} AP {n[7]:.3f} false {n[8]:.2f}"
                f" | held-out AP50 {n[9]:.3f} AP {n[10]:.3f} false {n[11]:.2f}")
            next_evaluation = time.time() + 60 * options.every
        if ends:
            break
        progress = min(1, max(0, (now - state["begin"]) / (until - state["begin"])))
        only_names = now - state["begin"] < 60 * options.pretrain
        (height, width), _, count = size_rng.choices(SIZES, [s[1] for s in SIZES])[0]
        augment = min(1., .3 + 1.5 * progress)  # first how things look, then how else they can look
        images, scenes_ = batch(rng, composer, height, width, count, augment, kind="many" if only_names and rng.random() < .7 else None)
        gradient.zero_()
        levels = model.backbone(images)
        if only_names:
            boxes = [torch.tensor(s.boxes, dtype=torch.float32).view(-1, 4) for s in scenes_]
            assignment = Assignment(boxes, [tuple(x.shape[2:]) for x in levels])
            labels = [torch.tensor(s.labels, dtype=torch.long) for s in scenes_]
            parts = [torch.zeros(())] * 3
        else:
            ids, mask, boxes, meaning, labels = targets(rng, scenes_)
            output = model.rpn.head(levels, model.text(ids, mask), mask)
            *parts, assignment = detection_losses(output, boxes, meaning, mask)
        named, accuracy = torch.zeros(()), 0.
        if len(assignment.cell):
            per_image = torch.cat([l[assignment.object[assignment.image == i]] for i, l in enumerate(labels)])
            named, accuracy = name_loss(model, rng, levels, assignment, per_image)
        (sum(parts) + options.names_weight * (2 if only_names else 1) * named).backward()
        barrier.wait()

        # Each process steps its share of the weights; the norm is over all.
        total = shared.gradients[0][mine] + shared.gradients[1][mine]
        total /= PROCESSES
        shared.numbers[14 + rank] = float(total.double().pow(2).sum())
        state["step"] += 1
        state["adam"] += 1
        state["images"] += PROCESSES * count
        state["objects"] += PROCESSES * sum(map(len, boxes))
        barrier.wait()
        norm = math.sqrt(float(shared.numbers[14:16].sum()))
        rate = options.rate * min(1, state["adam"] / 150) * (.5 + .5 * math.cos(math.pi * progress)) + 2e-6
        if math.isfinite(norm):
            b1, b2 = .9, .98
            call("adamw", ctypes.c_long(len(total)), shared.weights[mine], total, shared.first[mine], shared.second[mine], decay[mine],
                 shared.slow[mine], min(1., options.clip / (norm + 1e-6)), rate, options.decay, b1, b2, 1 - b1 ** state["adam"],
                 1 - b2 ** state["adam"], max(.005, 1 / (state["adam"] + 1)))
        for i, v in enumerate((*[float(p) for p in parts], float(named), accuracy, norm)):
            sums[i] += v
        if state["step"] % 25 == 0:
            t, b, c, n, a, g = (s / 25 for s in sums)
            say(f"step {state['step']} images {state['images']} objects {state['objects']} rate {rate:.2e} token {t:.3f} box {b:.3f} "
                f"centre {c:.3f} names {n:.3f} right {a:.3f} norm {g:.2f} images/s {(state['images'] - mark_images) / (time.time() - mark):.1f}"
                f"{' names only' if only_names else ''}")
            sums, mark, mark_images = [0.] * 6, time.time(), state["images"]
        barrier.wait()


def write_official(model, parameters, weights, path):
    """The original's layout: {"model": {"module.…": tensor}}, buffers included"""
    state, start = {}, 0
    for name, p in parameters:
        if not name.startswith("name_loss"):
            state["module." + name] = weights[start:start + p.numel()].view(p.shape).clone()
        start += p.numel()
    state |= {"module." + n: b.clone() for n, b in model.named_buffers()}
    torch.save({"model": state}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True, help="folder of checkpoint, log and weights")
    parser.add_argument("--sprites", required=True, help="file that sprites.py wrote")
    parser.add_argument("--until", required=True, help="when training ends, ISO date and time")
    parser.add_argument("--start", default="", help="weights to start from, in the official layout")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--decay", type=float, default=.05)
    parser.add_argument("--clip", type=float, default=1.)
    parser.add_argument("--pretrain", type=float, default=15, help="first minutes: names of objects only, without the head")
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
    size = sum(p.numel() for p in Glip(len(VOCABULARY)).parameters()) + 1
    shared, context = Shared(size), multiprocessing.get_context("fork")
    barrier = context.Barrier(PROCESSES)
    workers = [context.Process(target=work, args=(r, options, composer, barrier, shared)) for r in range(PROCESSES)]
    for w in workers:
        w.start()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the workers save and end
    for w in workers:
        w.join()
    (out / "train.pid").unlink()


if __name__ == "__main__":
    main()
