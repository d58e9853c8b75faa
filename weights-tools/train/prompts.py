"""Prompts for scenes: phrases, their tokens, and which objects each phrase means."""
import functools
import random

import torch

from names import COLOURS, EVERYDAY, INDEX, NAMES, SHAPE_NAMES, SHAPES, SYNONYMS, base_vocabulary, words

VOCABULARY = base_vocabulary()
_ID = {token: i for i, token in enumerate(VOCABULARY)}
PAD, UNKNOWN, CLS, SEP, STOP = (_ID[t] for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "."))
LONGEST = 256  # tokens
HARD = .3  # share of the absent names of training that the model itself mistakes something for
NOTHING = .12  # share of training prompts that name nothing that is there


@functools.lru_cache(None)
def tokens(text: str) -> tuple[int, ...]:
    """WordPiece: the longest known piece first."""
    ids = []
    for word in words(text):
        pieces, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = _ID.get(("##" if start else "") + word[start:end])
                if piece is not None:
                    break
            else:
                pieces = [UNKNOWN]
                break
            pieces.append(piece)
            start = end
        ids += pieces
    return tuple(ids)


class Prompt:
    """Token ids; per phrase its text, its token positions and the objects (indices in the scene) that it means."""

    def __init__(self):
        self.ids, self.phrases, self.text = [CLS], [], ""

    def add(self, text, objects=None):
        """Text without objects is filler."""
        first = len(self.ids)
        self.ids += tokens(text)
        self.text += (" " if self.text else "") + text
        if objects is not None:
            self.phrases.append((text, list(range(first, len(self.ids))), objects))

    def end(self):
        self.ids.append(SEP)
        return self


def listed(phrases) -> Prompt:
    """The way of detection prompts: phrases between full stops. phrases: (text, objects)"""
    prompt = Prompt()
    for text, objects in phrases:
        if len(prompt.ids) + len(tokens(text)) + 2 > LONGEST:
            break
        prompt.add(text, objects)
        prompt.add(".")
    return prompt.end()


class Confusion:
    """What the model takes things for: for every name a running mean of the shares of all names. Its rows choose absent names that are hard."""

    def __init__(self):
        self.shares = torch.zeros(len(NAMES), len(NAMES))

    def see(self, labels, shares):
        """labels [N], shares [N, names]: what cells with these objects look like"""
        for label in labels.unique():
            mean = shares[labels == label].mean(0)
            mean[label] = 0
            self.shares[label].lerp_(mean, .1)

    def like(self, rng, name: str) -> str | None:
        """A name that things of this name are taken for; None while the name has not been seen."""
        row = self.shares[INDEX[name]].tolist()
        return rng.choices(NAMES, row)[0] if sum(row) > 0 else None


def confusable(rng, name: str) -> str:
    """Another name that is like this one."""
    if name in SHAPE_NAMES:
        colour, shape = name.split()
        return f"{rng.choice(list(COLOURS))} {shape}" if rng.random() < .6 else f"{colour} {rng.choice(SHAPES)}"
    at = INDEX[name] + rng.choice([-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6])
    return EVERYDAY[at % len(EVERYDAY)]


def absent_names(rng, present, count, avoid=(), confusion: Confusion | None = None) -> list[str]:
    """Names that no object of the scene has: about half of them like something that is there."""
    present_names, found = [NAMES[i] for i in set(present)], []
    while len(found) < count:
        kind, name = rng.random() if present_names else 1, None
        if confusion and kind < HARD:
            name = confusion.like(rng, rng.choice(present_names))
        elif kind < .4:
            name = confusable(rng, rng.choice(present_names))
        name = name or rng.choice(EVERYDAY if rng.random() < .72 else SHAPE_NAMES)
        if name not in found and INDEX[name] not in present and name not in avoid:
            found.append(name)
    return found


def training_prompt(rng, scene, confusion: Confusion | None = None) -> Prompt:
    """Some of what is there, and names that are not."""
    labels = scene.labels
    there = sorted(set(labels))
    if rng.random() < NOTHING:
        chosen = []
    else:
        share = rng.choice([1, 1, .8, .5])
        chosen = [l for l in there if rng.random() < share] or there[:1]
    style = rng.random()
    most = 60 if rng.random() < .04 else 30
    count = rng.randint(0 if chosen else 1, max(2, most - len(chosen)))
    phrases = []
    for label in chosen:
        objects = [i for i, l in enumerate(labels) if l == label]
        text = NAMES[label]
        if text in SYNONYMS and rng.random() < .15:
            text = rng.choice(SYNONYMS[text])
        elif rng.random() < .03 and style > .5:
            # Sizes as attributes: by the longer side.
            sides = [max(scene.boxes[i][2] - scene.boxes[i][0], scene.boxes[i][3] - scene.boxes[i][1]) for i in objects]
            if all(s < 40 or s > 80 for s in sides):
                for words_, wanted in ((("small", "tiny"), [i for i, s in zip(objects, sides) if s < 40]),
                                       (("large", "big"), [i for i, s in zip(objects, sides) if s > 80])):
                    phrases.append((f"{rng.choice(words_)} {text}", wanted))
                continue
        phrases.append((text, objects))
    for name in absent_names(rng, labels, count, confusion=confusion):
        phrases.append((rng.choice(SYNONYMS[name]) if name in SYNONYMS and rng.random() < .15 else name, []))
    rng.shuffle(phrases)
    return sentence(rng, phrases[:6]) if style < .07 else listed(phrases[:70])


def sentence(rng, phrases) -> Prompt:
    prompt = Prompt()
    prompt.add(rng.choice(["a photo of", "find", "there is", "a picture of", "show me", "where is"]))
    for i, (text, objects) in enumerate(phrases):
        if i:
            prompt.add(rng.choice(["and", ",", "near", "next to", "with", "on"]))
        if rng.random() < .7:
            prompt.add(rng.choice(["a", "the", "some", "all", "two"]))
        prompt.add(text, objects)
    if rng.random() < .5:
        prompt.add(".")
    return prompt.end()


def pad(prompts):
    """-> ids [B, T], mask [B, T]"""
    longest = max(len(p.ids) for p in prompts)
    ids, mask = torch.full((len(prompts), longest), PAD), torch.zeros(len(prompts), longest)
    for i, p in enumerate(prompts):
        ids[i, :len(p.ids)] = torch.tensor(p.ids)
        mask[i, :len(p.ids)] = 1
    return ids, mask


def all_names(rng, size=46):
    """Every name once, in prompts of `size` names in random order: the prompts and, per name, (prompt, token positions)."""
    order = list(range(len(NAMES)))
    rng.shuffle(order)
    prompts, where = [], [None] * len(NAMES)
    for start in range(0, len(order), size):
        prompt = listed([(NAMES[i], i) for i in order[start:start + size]])
        for _, positions, i in prompt.phrases:
            where[i] = len(prompts), positions
        prompts.append(prompt)
    return prompts, where


MEAN, DEVIATION = torch.tensor([103.53, 116.28, 123.675]), torch.tensor([57.375, 57.12, 58.395])


def image_tensor(image):
    """PIL RGB -> [3, H, W], BGR, normalised"""
    import numpy as np
    bgr = torch.from_numpy(np.asarray(image)[:, :, ::-1].copy()).float()
    return ((bgr - MEAN) / DEVIATION).permute(2, 0, 1).contiguous()
