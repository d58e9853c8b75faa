"""What the model learns to find: everyday names, and colours × shapes. The vocabulary follows from them."""
import pathlib
import re

HERE = pathlib.Path(__file__).parent

EVERYDAY = [line.strip() for line in (HERE / "names.txt").read_text().splitlines() if line.strip()]

COLOURS = {
    "red": (215, 30, 35), "green": (40, 160, 60), "blue": (40, 80, 210), "yellow": (245, 215, 40), "orange": (245, 135, 25),
    "purple": (130, 50, 170), "pink": (245, 130, 180), "brown": (120, 75, 40), "black": (25, 25, 28), "white": (245, 245, 245),
}
SHAPES = ["circle", "square", "triangle", "hexagon", "cross", "heart"]
SHAPE_NAMES = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]

NAMES = EVERYDAY + SHAPE_NAMES
INDEX = {name: i for i, name in enumerate(NAMES)}

# Other words for the same things. A synonym that could also mean another name of the list is left out.
SYNONYMS = {
    "automobile": ["car"], "airplane": ["plane", "aeroplane"], "honeybee": ["bee"], "wrapped gift": ["gift", "present"],
    "television": ["tv"], "mobile phone": ["smartphone", "cell phone"], "hot beverage": ["coffee", "cup of coffee"],
    "doughnut": ["donut"], "french fries": ["fries"], "four leaf clover": ["clover"], "locomotive": ["train", "steam train"],
    "fire engine": ["fire truck"], "necktie": ["tie"], "ear of corn": ["corn"], "hot pepper": ["chili", "pepper"],
    "evergreen tree": ["pine tree"], "crescent moon": ["moon"], "soccer ball": ["football ball"], "game die": ["dice"],
    "gem stone": ["gem", "diamond"], "birthday cake": ["cake"], "beer mug": ["beer"], "wine glass": ["glass of wine"],
    "envelope": ["letter"], "package": ["parcel", "cardboard box"], "droplet": ["water drop"], "cheese wedge": ["cheese"],
    "hourglass done": ["hourglass"], "artist palette": ["palette"], "bicycle": ["bike"], "motorcycle": ["motorbike"],
    "light bulb": ["bulb"], "flashlight": ["torch"], "watch": ["wristwatch"], "rabbit": ["bunny"], "cookie": ["biscuit"],
    "crocodile": ["alligator"], "house": ["home"], "dove": ["pigeon"], "rooster": ["cockerel"], "taxi": ["cab"],
    "wrench": ["spanner"], "gear": ["cog"], "sailboat": ["sailing boat"], "eggplant": ["aubergine"], "jeans": ["trousers"],
}

# Names as the art calls them.
def slug(name: str) -> str:
    return name.replace(" ", "-")


def group(name: str) -> int:
    """Position in the list, which is in order of meaning: neighbours are the hard negatives."""
    return INDEX[name]


def base_vocabulary() -> list[str]:
    return (HERE / "vocab.txt").read_text().splitlines()


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+|[^a-z0-9\s]", text.lower())
