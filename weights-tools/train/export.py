"""Writes the configuration that goes with trained weights; glip-weights makes the model file of the two. See README.

    python3 export.py config.json [--name glip-nano] [--threshold 0.505] [--min-size 320 --max-size 512]
"""
import argparse
import json

from model import CONFIG
from names import NAMES
from prompts import VOCABULARY


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out")
    parser.add_argument("--name", default="glip-nano")
    parser.add_argument("--threshold", type=float, default=.505)
    parser.add_argument("--min-size", type=int, default=320)
    parser.add_argument("--max-size", type=int, default=512)
    options = parser.parse_args()
    config = CONFIG | {"config": options.name, "bert": CONFIG["bert"] | {"vocab_size": len(VOCABULARY)},
                       "input": {"min_size": options.min_size, "max_size": options.max_size},
                       "default_threshold": options.threshold, "names": NAMES}
    with open(options.out, "w") as file:
        json.dump(config, file, indent=1)


if __name__ == "__main__":
    main()
