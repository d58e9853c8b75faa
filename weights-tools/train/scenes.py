"""Synthetic scenes: sprites and coloured shapes on varied backgrounds, with boxes. The same seed gives the same scene."""
import functools
import io
import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from names import COLOURS, EVERYDAY, INDEX, NAMES, SHAPE_NAMES
from sprites import HELD_OUT_VENDOR, TRAINING_VENDORS

SMALLEST = 12  # pixels; a lesser box is not drawn

# Names whose colour says what they are.
COLOUR_MATTERS = {n for n in EVERYDAY if n.split()[0] in COLOURS} | {
    "lemon", "tomato", "carrot", "banana", "pear", "eggplant", "fire engine", "sun", "rainbow", "grapes", "cherries", "strawberry"}


class Scene:
    """An RGB picture with its objects: boxes (x1, y1, x2, y2; the last pixel is inside) and indices of names."""

    def __init__(self, image, boxes, labels):
        self.image, self.boxes, self.labels = image, boxes, labels

    def scaled(self, width, height):
        """The same scene at another size"""
        if self.image.size == (width, height):
            return self
        x, y = width / self.image.width, height / self.image.height
        boxes = [(a * x, b * y, (c + 1) * x - 1, (d + 1) * y - 1) for a, b, c, d in self.boxes]
        return Scene(self.image.resize((width, height), Image.BILINEAR), boxes, self.labels)


class Sprites:
    def __init__(self, path):
        self.by_name, self.clutter = {}, {}
        with np.load(path) as file:
            for key in sorted(file.files):
                vendor, name = key.split("/")
                image = Image.fromarray(file[key], "RGBA").convert("RGBa")
                levels = [image, image.reduce(2), image.reduce(4), image.reduce(8)]
                if name.startswith("*"):
                    self.clutter.setdefault(vendor, []).append(levels)
                else:
                    self.by_name.setdefault(vendor, {}).setdefault(name.split("#")[0], []).append(levels)

    def pick(self, rng, name, vendors):
        """A picture of the name by one of the vendors that have it, or None."""
        vendors = [v for v in vendors if name in self.by_name.get(v, {})]
        return rng.choice(self.by_name[rng.choice(vendors)][name]) if vendors else None


# ---------------------------------------------------------------- coloured shapes

def shape_levels(rng, name):
    colour, shape = name.split()
    side, m = 128, 8
    end = side - m
    base = COLOURS[colour]
    spread = 12 if colour in ("black", "white") else 22
    fill = tuple(max(0, min(255, v + rng.randint(-spread, spread))) for v in base) + (255,)
    line = rng.choice([None, None, None, tuple(max(0, v - 60) for v in fill[:3]) + (255,), (20, 20, 20, 255), (250, 250, 250, 255)])
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    width = rng.randint(2, 6)
    if shape == "circle":
        draw.ellipse((m, m, end, end), fill, line, width)
    elif shape == "square":
        draw.rounded_rectangle((m, m, end, end), rng.choice([0, 0, 6, 14]), fill, line, width)
    else:
        c = side / 2
        if shape == "triangle":
            points = [(c, m), (end, end), (m, end)]
        elif shape == "hexagon":
            turn = rng.choice([0, math.pi / 6])
            points = [(c + (c - m) * math.cos(math.pi / 3 * i + turn), c + (c - m) * math.sin(math.pi / 3 * i + turn)) for i in range(6)]
        elif shape == "cross":
            a = rng.uniform(.3, .42) * side
            b = side - a
            points = [(a, m), (b, m), (b, a), (end, a), (end, b), (b, b), (b, end), (a, end), (a, b), (m, b), (m, a), (a, a)]
        else:
            points = [(c + .0275 * side * 16 * math.sin(t) ** 3,
                       c - .0275 * side * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
                      for t in np.linspace(0, 2 * math.pi, 60)]
        draw.polygon(points, fill)
        if line:
            draw.line(points + points[:2], line, width, joint="curve")
    if rng.random() < .2:  # shading
        shade = Image.linear_gradient("L").resize((side, side)).rotate(rng.choice([0, 90, 180, 270])).point(lambda v: v * 60 // 255)
        dark = Image.new("RGBA", (side, side), (0, 0, 0, 255))
        image = Image.composite(Image.composite(dark, image, shade), image, image.getchannel("A"))
    image = image.crop(image.getbbox()).convert("RGBa")
    return [image, image.reduce(2), image.reduce(4), image.reduce(8)]


# ---------------------------------------------------------------- backgrounds

def _noise(state, height, width, cells, colour=True):
    grid = (state.rand(max(2, cells * height // width), cells, 3 if colour else 1) * 255).astype(np.uint8)
    if not colour:
        grid = np.repeat(grid, 3, 2)
    return np.asarray(Image.fromarray(grid).resize((width, height), Image.BICUBIC), np.float32) - 127


def _background(seed, side=512):
    rng, state = random.Random(seed), np.random.RandomState(seed)
    colour = lambda: np.array([rng.randrange(256) for _ in range(3)], np.float32)
    picture = np.empty((side, side, 3), np.float32)
    picture[:] = colour() * .6 + 50
    kind = rng.random()
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    if kind < .4:  # gradient
        angle = rng.uniform(0, 2 * math.pi)
        ramp = x * math.cos(angle) + y * math.sin(angle) if rng.random() < .7 else np.hypot(x - rng.random(), y - rng.random())
        ramp = (ramp - ramp.min()) / np.ptp(ramp)
        picture = picture * (1 - ramp[..., None]) + colour() * ramp[..., None]
    if kind > .25:  # clouds of several sizes, as in photographs out of focus
        for cells in rng.sample([3, 5, 9, 17, 40, 90], rng.randint(1, 4)):
            picture += _noise(state, side, side, cells, rng.random() < .6) * rng.uniform(.08, .5)
    if .5 < kind < .7:  # stripes, checks
        angle, pitch = rng.uniform(0, math.pi), rng.uniform(40, 400)
        wave = np.sin((x * math.cos(angle) + y * math.sin(angle)) * pitch)
        if rng.random() < .5:
            wave = wave * np.sin((y * math.cos(angle) - x * math.sin(angle)) * pitch)
        picture += (np.sign(wave) if rng.random() < .5 else wave)[..., None] * rng.uniform(8, 45)
    if rng.random() < .35:  # grain
        picture += state.randn(side, side, rng.choice([1, 3])).astype(np.float32) * rng.uniform(2, 16)
    image = Image.fromarray(picture.clip(0, 255).astype(np.uint8))
    if rng.random() < .4:  # litter
        draw = ImageDraw.Draw(image)
        for _ in range(rng.randint(2, 26)):
            points = [(rng.randrange(-40, side + 40), rng.randrange(-40, side + 40)) for _ in range(rng.randint(2, 4))]
            ink = tuple(int(v) for v in colour())
            if len(points) == 2 or rng.random() < .5:
                draw.line(points, ink, rng.randint(1, 5))
            else:
                draw.polygon(points, ink)
    return image


@functools.lru_cache(None)
def _background_bank(count=96):
    return [_background(7919 + i) for i in range(count)]


def background(rng, width, height):
    if rng.random() < .25:
        plain = rng.choice([(255, 255, 255), (245, 245, 245), (230, 232, 236), (22, 24, 28), None, None])
        return Image.new("RGB", (width, height), plain or tuple(rng.randrange(256) for _ in range(3)))
    source = rng.choice(_background_bank())
    scale = min(1, rng.uniform(.35, 1.) * 512 / max(width, height))
    w, h = int(width * scale), int(height * scale)
    left, top = rng.randint(0, 512 - w), rng.randint(0, 512 - h)
    image = source.resize((width, height), Image.BILINEAR, (left, top, left + w, top + h))
    if rng.random() < .5:
        image = image.transpose(rng.choice([Image.FLIP_LEFT_RIGHT, Image.FLIP_TOP_BOTTOM, Image.ROTATE_180]))
    if rng.random() < .6:
        bands = list(image.split())
        rng.shuffle(bands)
        image = Image.merge("RGB", bands)
    return image


def interface(rng, width, height):
    """Panels, bars and lines of letters, like a screenshot."""
    dark = rng.random() < .35
    ground, panel, ink = ((28, 29, 33), (44, 46, 52), (205, 208, 212)) if dark else ((240, 241, 244), (255, 255, 255), (60, 62, 68))
    accent = tuple(rng.randrange(40, 220) for _ in range(3))
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width, rng.randint(14, 30)), accent)
    for _ in range(rng.randint(1, 5)):
        x, y = rng.randrange(0, width - 20), rng.randrange(20, height - 10)
        draw.rounded_rectangle((x, y, min(width - 2, x + rng.randint(30, 180)), min(height - 2, y + rng.randint(16, 140))), 6, panel,
                               tuple(v * 9 // 10 for v in panel))
    letters = "etaoin shrdlu ETAOIN 0123456789 cmfwyp vbgkqj xz"
    for _ in range(rng.randint(2, 9)):
        text = "".join(rng.choice(letters) for _ in range(rng.randint(3, 26)))
        draw.text((rng.randrange(0, width), rng.randrange(0, height)), text, rng.choice([ink, ink, accent]))
    return image


# ---------------------------------------------------------------- objects

def _colour_matrix(rng, name):
    """RGB -> RGB for PIL: hue turn, saturation, brightness, contrast. None: leave."""
    shape = name in SHAPE_SET
    turn = rng.gauss(0, .12) if rng.random() < .4 else 0
    if name not in COLOUR_MATTERS and not shape and rng.random() < .18:
        turn = rng.uniform(-1.4, 1.4)
    saturation = rng.uniform(.35, 1.5) if rng.random() < .4 else 1
    if name not in COLOUR_MATTERS and rng.random() < .04:
        saturation = rng.uniform(0, .2)
    bright = rng.uniform(.65, 1.3) if rng.random() < .45 else 1
    contrast = rng.uniform(.6, 1.4) if rng.random() < .3 else 1
    if shape:
        turn, saturation, bright, contrast = rng.gauss(0, .03), 1, rng.uniform(.88, 1.1), 1
    if (turn, saturation, bright, contrast) == (0, 1, 1, 1):
        return None
    cos, sin, third, root = math.cos(turn), math.sin(turn), 1 / 3, math.sqrt(1 / 3)
    hue = np.full((3, 3), (1 - cos) * third) + cos * np.eye(3) + sin * root * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    grey = np.array([[.299, .587, .114]] * 3)
    m = contrast * bright * (saturation * np.eye(3) + (1 - saturation) * grey) @ hue
    shift = (1 - contrast) * 110
    return tuple(float(v) for row in m for v in (*row, shift))


SHAPE_SET = set(SHAPE_NAMES)


def _restyle(rng, image):
    """Another hand: flat colours, or inked edges."""
    kind = rng.random()
    if kind < .5:
        alpha = image.getchannel("A")
        flat = image.convert("RGB").filter(ImageFilter.MedianFilter(3)).point([v // 51 * 51 + 25 for v in range(256)] * 3)
        flat.putalpha(alpha)
        return flat
    edges = image.convert("L").filter(ImageFilter.FIND_EDGES).point([min(255, max(0, v - 24) * 5) for v in range(256)])
    alpha = image.getchannel("A")
    rim = alpha.filter(ImageFilter.MaxFilter(3))
    ink = Image.new("RGB", image.size, (0, 0, 0) if rng.random() < .8 else (70, 40, 30))
    paint = image.convert("RGB")
    if rng.random() < .4:
        paint = Image.blend(paint, Image.new("RGB", image.size, (255, 255, 255)), rng.uniform(.3, .9))
    paint = Image.composite(ink, paint, edges)
    paint = Image.composite(paint, ink, alpha)
    paint.putalpha(rim)
    return paint


def _place(levels, size, angle, mirrored, aspect):
    """The sprite turned and scaled so that its longer side is `size`, as RGBA."""
    scale, level = size / max(levels[0].size), 0
    while scale < .5 and level + 1 < len(levels):
        level, scale = level + 1, scale * 2
    source = levels[level]
    w, h = source.size
    sx, sy, cos, sin = scale * aspect, scale / aspect, math.cos(angle), math.sin(angle)
    width = int(math.ceil(abs(w * sx * cos) + abs(h * sy * sin))) + 2
    height = int(math.ceil(abs(w * sx * sin) + abs(h * sy * cos))) + 2
    a, b, d, e = mirrored * cos / sx, mirrored * sin / sx, -sin / sy, cos / sy
    return source.transform((width, height), Image.AFFINE, (a, b, w / 2 - a * width / 2 - b * height / 2,
                                                            d, e, h / 2 - d * width / 2 - e * height / 2), Image.BILINEAR).convert("RGBA")


class Composer:
    """Makes scenes from sprites."""

    def __init__(self, sprites: Sprites):
        self.sprites = sprites

    def scene(self, rng, width, height, vendors=TRAINING_VENDORS, kind=None, sizes=None, augment=1., names=None, shapes=.2) -> Scene:
        """kind: 'some', 'many', 'large', 'frame', 'layout' or chosen. sizes: least and largest object side in pixels. names: what to draw.
        augment: share of objects and pictures whose look is changed."""
        kind = kind or rng.choices(["some", "many", "large", "layout"], [.26, .44, .22, .08])[0]
        image = interface(rng, width, height) if kind == "layout" else background(rng, width, height)
        side, area = min(width, height), width * height
        if kind == "large":
            plan = [rng.uniform(.5, 1.04) ** .7 * side for _ in range(rng.choice([1, 1, 1, 2]))]
            plan += [rng.uniform(16, .25 * side) for _ in range(rng.randint(0, 4))]
        elif kind == "frame":
            plan = [rng.uniform(.88, 1.02) * side] + [rng.uniform(16, .25 * side) for _ in range(rng.randint(0, 3))]
        elif kind == "layout":
            plan = [rng.uniform(16, .2 * side)] * rng.randint(4, 18)
        else:
            low, high, count = (18, .5 * side, rng.randint(2, 12)) if kind == "some" else (16, .24 * side, rng.randint(12, 28))
            count = max(1, round(count * min(2.5, area / 224 ** 2))) if kind == "many" else count
            plan = [math.exp(rng.uniform(math.log(low), math.log(high))) for _ in range(count)]
        if sizes:
            plan = [math.exp(rng.uniform(math.log(sizes[0]), math.log(sizes[1]))) for _ in plan]
        plan.sort(reverse=True)
        few = [rng.choice(names or NAMES) for _ in range(rng.randint(1, 3))] if not names and rng.random() < .12 else None
        family = rng.choice(vendors) if rng.random() < .35 else None
        boxes, labels, taken, grid = [], [], [], None
        if kind == "layout":
            pitch = plan[0] * rng.uniform(1.15, 2)
            grid = [(x * pitch + rng.uniform(0, 4), y * pitch + 30) for y in range(int((height - 30) / pitch)) for x in range(int(width / pitch))]
            rng.shuffle(grid)
        for size in plan:
            name, levels = self._choose(rng, names or few, [family] if family else vendors, shapes)
            if levels is None:
                continue
            shape = name in SHAPE_SET
            angle = rng.gauss(0, .2) if shape or rng.random() < .85 else rng.uniform(-math.pi, math.pi)
            if rng.random() < .4 or kind == "layout":
                angle = 0
            part = _place(levels, size, angle, -1 if rng.random() < .5 else 1, math.exp(rng.gauss(0, .08)))
            spot = self._spot(rng, part.size, width, height, taken, grid)
            if spot is None:
                continue
            box = self._paste(rng, image, part, spot, name, rng.random() < augment)
            if box is None:
                continue
            taken.append(box)
            if name and box[2] - box[0] >= SMALLEST - 1 and box[3] - box[1] >= SMALLEST // 2:
                boxes.append(box)
                labels.append(INDEX[name])
        return Scene(self._finish(rng, image) if rng.random() < augment else image, boxes, labels)

    def _choose(self, rng, names, vendors, shapes):
        if names is None and rng.random() < .05:
            family = self.sprites.clutter.get(rng.choice(vendors))
            return "", rng.choice(family) if family else None
        if names:
            name = rng.choice(names)
        else:
            name = rng.choice(SHAPE_NAMES if rng.random() < shapes else EVERYDAY)
        if name in SHAPE_SET:
            return name, shape_levels(rng, name)
        return name, self.sprites.pick(rng, name, vendors)

    @staticmethod
    def _spot(rng, size, width, height, taken, grid):
        w, h = size
        for _ in range(10):
            if grid is not None:
                if not grid:
                    return None
                x, y = grid.pop()
            else:
                over = .15 if rng.random() < .2 else 0  # some stick out of the picture
                x = rng.uniform(-over * w, width - w + over * w) if w < width else (width - w) / 2
                y = rng.uniform(-over * h, height - h + over * h) if h < height else (height - h) / 2
            x, y = int(x), int(y)
            for a, b, c, d in taken:
                common = max(0, min(x + w, c) - max(x, a)) * max(0, min(y + h, d) - max(y, b))
                earlier = (c - a) * (d - b)
                # Little things may lie on a big one; else only a corner may be covered.
                if common > .22 * min(earlier, w * h) and not (w * h < .08 * earlier and rng.random() < .5):
                    break
            else:
                return x, y
        return None

    @staticmethod
    def _paste(rng, image, part, spot, name, augment):
        x, y = spot
        if augment and name not in SHAPE_SET and rng.random() < .13:
            part = _restyle(rng, part)
        alpha = part.getchannel("A")
        seen = alpha.point(lambda v: 255 if v > 60 else 0).getbbox()
        if seen is None:
            return None
        paint = part.convert("RGB")
        if augment:
            matrix = _colour_matrix(rng, name)
            if matrix:
                paint = paint.convert("RGB", matrix)
            extra = rng.random()
            if extra < .10:  # rim
                tone = rng.choice([0, 0, 255])
                image.paste((tone, tone, tone), (x, y), alpha.filter(ImageFilter.MaxFilter(3)))
            elif extra < .20:  # shadow
                away = rng.randint(1, 5)
                image.paste((0, 0, 0), (x + away, y + away), alpha.point(lambda v: v // 3))
            elif extra < .24:
                alpha = alpha.point(lambda v: v * 3 // 4)
            elif extra < .28:
                paint, alpha = paint.filter(ImageFilter.BoxBlur(1)), alpha.filter(ImageFilter.BoxBlur(1))
        image.paste(paint, (x, y), alpha)
        return (max(0, x + seen[0]), max(0, y + seen[1]), min(image.width, x + seen[2]) - 1, min(image.height, y + seen[3]) - 1)

    @staticmethod
    def _finish(rng, image):
        """Camera and file: light, contrast, blur, compression."""
        if rng.random() < .12:
            light = rng.choice(_background_bank()).convert("L").resize((4, 4)).resize(image.size, Image.BICUBIC)
            image = Image.composite(image, ImageEnhance.Brightness(image).enhance(rng.uniform(.4, .8)), light)
        if rng.random() < .2:
            image = ImageEnhance.Brightness(image).enhance(rng.uniform(.6, 1.3))
        if rng.random() < .2:
            image = ImageEnhance.Contrast(image).enhance(rng.uniform(.6, 1.35))
        if rng.random() < .1:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(.3, 1.1)))
        if rng.random() < .15:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=rng.randint(25, 90))
            image = Image.open(file).convert("RGB")
        return image


def sheet(composer, path, seed=1, **options):
    """A sheet of scenes with their boxes, to look at."""
    rng = random.Random(seed)
    sheet = Image.new("RGB", (4 * 260, 3 * 260))
    for i in range(12):
        s = composer.scene(rng, 256, 256, **options)
        draw = ImageDraw.Draw(s.image)
        for box, label in zip(s.boxes, s.labels):
            draw.rectangle(box, outline=(255, 0, 0))
            draw.text(box[:2], NAMES[label], (255, 0, 255))
        sheet.paste(s.image, (i % 4 * 260, i // 4 * 260))
    sheet.save(path)
