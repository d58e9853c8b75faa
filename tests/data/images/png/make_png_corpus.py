"""Writes the PNG corpus in this folder: every color type x bit depth x interlace, random pixels and row filters.

    python3 make_png_corpus.py

NAME.png is the picture, NAME.rgb what Pillow's convert("RGB") makes of it. 16-bit gray is the exception: Pillow clips it
at 255, so its .rgb holds the upper bytes. Needs Pillow; the encoder is written out here because Pillow
writes neither interlaced nor 2-bit gray nor 16-bit color files.
"""
import os
import random
import struct
import zlib

from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
NAMES = {0: "gray", 2: "rgb", 3: "palette", 4: "grayalpha", 6: "rgba"}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack(samples, depth):
    if depth == 16:
        return b"".join(struct.pack(">H", s) for s in samples)
    bits = "".join(format(s, f"0{depth}b") for s in samples)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


def paeth(a, b, c):
    p = a + b - c
    return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]


def apply_filter(kind, row, above, distance):
    out = bytearray([kind])
    for i, value in enumerate(row):
        left = row[i - distance] if i >= distance else 0
        corner = above[i - distance] if i >= distance else 0
        guess = [0, left, above[i], (left + above[i]) // 2, paeth(left, above[i], corner)][kind]
        out.append((value - guess) & 255)
    return bytes(out)


def write(name, width, height, color, depth, interlaced, rng, extra=b"", pieces=1):
    n = SAMPLES[color]
    limit = 2 ** depth
    palette = b""
    if color == 3:
        entries = min(limit, 200)
        palette = chunk(b"PLTE", bytes(rng.randrange(256) for _ in range(entries * 3)))
        limit = entries
    pixels = [[[rng.randrange(limit) for _ in range(n)] for _ in range(width)] for _ in range(height)]
    distance = max(1, n * depth // 8)
    raw = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        above = None
        for y in range(y0, height, dy):
            row = pack([s for x in range(x0, width, dx) for s in pixels[y][x]], depth)
            if not row:
                continue
            raw += apply_filter(rng.randrange(5), row, above or bytes(len(row)), distance)
            above = row
    data = zlib.compress(raw, 9)
    step = -(-len(data) // pieces)
    idat = b"".join(chunk(b"IDAT", data[i:i + step]) for i in range(0, len(data), step))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    path = os.path.join(HERE, name + ".png")
    with open(path, "wb") as f:
        f.write(SIGNATURE + chunk(b"IHDR", header) + palette + extra + idat + chunk(b"IEND", b""))
    if color == 0 and depth == 16:
        rgb = bytes(p[0] >> 8 for row in pixels for p in row for _ in range(3))
    else:
        rgb = Image.open(path).convert("RGB").tobytes()
    with open(os.path.join(HERE, name + ".rgb"), "wb") as f:
        f.write(rgb)


def main():
    rng = random.Random(20240117)
    depths = {0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]}
    for color, options in depths.items():
        for depth in options:
            for interlaced in (False, True):
                suffix = "_adam7" if interlaced else ""
                write(f"{NAMES[color]}{depth}{suffix}", 13, 11, color, depth, interlaced, rng)
    for width, height in ((1, 1), (1, 9), (3, 2), (9, 1)):
        write(f"rgb8_adam7_{width}x{height}", width, height, 2, 8, True, rng)
    write("gray1_adam7_5x5", 5, 5, 0, 1, True, rng)
    text = chunk(b"tEXt", b"Comment\0ignored")
    write("rgb8_pieces_text", 13, 11, 2, 8, False, rng, extra=text, pieces=7)
    write("palette4_transparent", 13, 11, 3, 4, False, rng, extra=chunk(b"tRNS", bytes([0, 128, 255])))
    write("rgb8_transparent", 13, 11, 2, 8, False, rng, extra=chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)))


main()
