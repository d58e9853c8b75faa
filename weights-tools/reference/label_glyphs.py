"""Makes src/Glip.Managed.Imaging/Drawing/label-glyphs.bin, the letters that glip writes on pictures.

Debian: apt install python3-pil fonts-dejavu-core
Run:    /usr/bin/python3 weights-tools/reference/label_glyphs.py

The committed file was made with Pillow 9.4.0 (FreeType 2.12.1, its hinting on) and DejaVu Sans 2.37. Other versions may round
coverage differently; nothing depends on equality.

Format, integers little-endian:
    u8 sizes, u16 characters, then the characters' code points, u16 each, ascending; U+25A1 stands for all others
    per size:  u8 pixels an em, u8 rows above the baseline, u8 rows below it
        per character:  u8 advance, i8 first column from the pen, i8 first row from the baseline (negative: above), u8 columns, u8 rows,
                        coverage 0..15, two pixels a byte with the left one in the high half, rows without gaps
"""

import pathlib
import struct

from PIL import Image, ImageDraw, ImageFont

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
SIZES = (15, 21, 30, 42)
CHARACTERS = [*range(0x20, 0x7F), *range(0xA0, 0x100), 0x2026, 0x25A1]
OUTPUT = pathlib.Path(__file__).parents[2] / "src/Glip.Managed.Imaging/Drawing/label-glyphs.bin"


def glyph(font, character, em):
    # Drawn far from the borders with the pen at (em, 2 em), then cut to its ink.
    cell = Image.new("L", (4 * em, 4 * em))
    ImageDraw.Draw(cell).text((em, 2 * em), character, font=font, fill=255, anchor="ls")
    coverage = cell.point(lambda v: (v + 8) // 17)
    left, top, right, bottom = coverage.getbbox() or (em, 2 * em, em, 2 * em)
    ink = list(coverage.crop((left, top, right, bottom)).getdata()) if right > left else []
    ink += [0] * (len(ink) % 2)
    header = struct.pack("<BbbBB", round(font.getlength(character)), left - em, top - 2 * em, right - left, bottom - top)
    data = header + bytes(high << 4 | low for high, low in zip(ink[::2], ink[1::2]))
    return data, 2 * em - top, bottom - 2 * em


def main():
    data = struct.pack(f"<BH{len(CHARACTERS)}H", len(SIZES), len(CHARACTERS), *CHARACTERS)
    for em in SIZES:
        font = ImageFont.truetype(FONT, em, layout_engine=ImageFont.Layout.BASIC)
        glyphs, above, below = zip(*(glyph(font, chr(c), em) for c in CHARACTERS))
        ascent, descent = font.getmetrics()
        data += struct.pack("<BBB", em, max(ascent, *above), max(descent, *below))
        data += b"".join(glyphs)
    OUTPUT.write_bytes(data)
    print(f"wrote {OUTPUT.name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
