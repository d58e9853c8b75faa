"""Renders the art of the npm packages to sprites: one array file for the scene generator.

    npm install --prefix artifacts/train/pk <PACKAGES, see README>
    python3 sprites.py artifacts/train/pk artifacts/train/sprites.npz
"""
import io
import json
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from names import EVERYDAY, slug

SIDE = 192  # pixels; larger objects are scaled up

# The art, by family. The last one is never trained on.
TRAINING_VENDORS = ["noto", "noto-v1", "twemoji", "fluent-emoji", "fluent-emoji-flat", "fluent-3d", "streamline-emojis"]
HELD_OUT_VENDOR = "fxemoji"
ICONIFY = [v for v in TRAINING_VENDORS if v != "fluent-3d"] + [HELD_OUT_VENDOR]

# Two families have names of their own.
OWN_NAMES = {
    "fxemoji": {
        "dog": "dogside", "cat": "catside", "tiger": "tigerside", "pig": "pigside", "rabbit": "bunnyside", "panda": "pandaface",
        "dove": "doveofpeace", "camel": "dromedarycamel", "evergreen tree": "evergreen", "eggplant": "aubergine",
        "ear of corn": "earofmaize", "hot pepper": "chilipepper", "pizza": "sliceofpizza", "house": "housebuilding",
        "locomotive": "steamlocomotive", "hourglass done": "hourglass", "snowman": "snowmanwithoutsnow",
        "wrapped gift": "present", "tennis": "tennisball", "necktie": "tie", "backpack": "schoolsatchel", "gem stone": "gem",
        "mobile phone": "cellphone", "telephone": "blacktelephone", "laptop": "personalcomputer",
        "flashlight": "electrictorch", "scissors": "blackscissors",
    },
    "streamline-emojis": {
        "panda": "panda-face", "bear": "bear-face", "frog": "frog-face", "lion": "lion-face", "backpack": "school-backpack",
        "game die": "game-dice",
    },
}

# Pictures that are no name of the list and look like none: they lie about unlabelled.
CLUTTER = """zebra giraffe hippopotamus kangaroo hedgehog peacock flamingo parrot scorpion lobster squid shrimp oyster microbe coconut
kiwi-fruit blueberries broccoli garlic onion peanuts chestnut pretzel waffle pancakes bacon egg world-map compass volcano moai
ferris-wheel vertical-traffic-light satellite flying-saucer comet tornado kite yo-yo magic-wand puzzle-piece chess-pawn thread yarn
safety-pin scarf gloves socks high-heeled-shoe running-shoe microphone headphone radio saxophone battery floppy-disk abacus magnet axe
broom bucket chair mirror window toothbrush razor stethoscope dna petri-dish coffin thermometer fire-extinguisher pushpin paperclip
straight-ruler balance-scale ladder hook""".split()


def image_to_array(image: Image.Image):
    """RGBA without the transparent border, or None where nothing shows."""
    pixels = np.asarray(image.convert("RGBA"))
    seen = pixels[..., 3] > 24
    if seen.sum() < 100:
        return None
    rows, columns = np.where(seen.any(1))[0], np.where(seen.any(0))[0]
    return pixels[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1].copy()


def render_svg(body: str, left: float, top: float, width: float, height: float):
    svg = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{SIDE}" height="{SIDE}" '
           f'viewBox="{left} {top} {width} {height}">{body}</svg>')
    run = subprocess.run(["rsvg-convert", "-w", str(SIDE), "-h", str(SIDE)], input=svg.encode(), capture_output=True)
    return image_to_array(Image.open(io.BytesIO(run.stdout))) if run.returncode == 0 else None


def jobs(packages: pathlib.Path):
    """(key, callable) for every sprite: key is 'vendor/name', or 'vendor/*name' for clutter."""
    modules = packages / "node_modules"
    emoji = [e for g in json.loads((modules / "unicode-emoji-json/data-by-group.json").read_text())
             if g["name"] in {"Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"} for e in g["emojis"]]
    by_slug = {re.sub(r"[^a-z0-9]+", "-", e["name"].lower().replace("’", "").replace("'", "")).strip("-"): e["emoji"] for e in emoji}

    for vendor in ICONIFY:
        data = json.loads((modules / "@iconify-json" / vendor / "icons.json").read_text())
        icons = dict(data["icons"])
        for alias, target in data.get("aliases", {}).items():
            if target["parent"] in icons and not {"hFlip", "vFlip", "rotate"} & target.keys():
                icons.setdefault(alias, icons[target["parent"]])
        own, variants = OWN_NAMES.get(vendor), {}
        for icon in icons:
            variants.setdefault(re.sub(r"-\d$", "", icon).replace("-", "") if own else icon, []).append(icon)
        found = []
        for name in EVERYDAY:
            key = slug(name)
            if own:
                key = own[name] if name in own else key.replace("-", "")
                if name in own and vendor == "streamline-emojis":
                    key = key.replace("-", "")
            found += [(f"{vendor}/{name}" + (f"#{i}" if i else ""), icon) for i, icon in enumerate(sorted(variants.get(key, [])))]
        if not own:
            found += [(f"{vendor}/*{s}", s) for s in CLUTTER if s in icons]
        for key, icon in found:
            i = icons[icon]
            box = [i.get("left", 0), i.get("top", 0), i.get("width", data.get("width", 16)), i.get("height", data.get("height", 16))]
            yield key, (lambda body=i["body"], box=box: render_svg(body, *box))

    assets = modules / "@lobehub/fluent-emoji-3d/assets"
    files = {f.stem: f for f in assets.iterdir()}
    for name in EVERYDAY:
        codes = ["%x" % ord(c) for c in by_slug.get(slug(name), "")]
        for stem in ("-".join(codes), "-".join(c for c in codes if c != "fe0f"), "-".join(codes + ["fe0f"])):
            if stem in files:
                yield f"fluent-3d/{name}", (lambda f=files[stem]: image_to_array(
                    Image.open(f).convert("RGBA").resize((SIDE, SIDE), Image.LANCZOS)))
                break


def main(packages: str, target: str) -> None:
    work = list(jobs(pathlib.Path(packages)))
    with ThreadPoolExecutor(2) as pool:
        sprites = {key: a for (key, _), a in zip(work, pool.map(lambda w: w[1](), work)) if a is not None}
    np.savez(target, **sprites)
    for vendor in TRAINING_VENDORS + [HELD_OUT_VENDOR]:
        named = {k.split("/")[1].split("#")[0] for k in sprites if k.startswith(vendor + "/") and "*" not in k}
        print(f"{vendor}: {len(named)} of {len(EVERYDAY)} names, {sum(k.startswith(vendor + '/*') for k in sprites)} clutter")


if __name__ == "__main__":
    main(*sys.argv[1:])
