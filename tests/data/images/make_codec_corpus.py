"""Writes the JPEG, BMP, PNM and GIF corpus beside this file, in the folders jpeg, bmp, pnm and gif.

    python3 make_codec_corpus.py

NAME.EXT is the picture, NAME.EXT.png what Pillow makes of it: convert("RGB"), after ImageOps.exif_transpose. Files that
begin with "truncated" or "no-eoi" are read with ImageFile.LOAD_TRUNCATED_IMAGES. Needs Pillow on libjpeg-turbo and its cjpeg and
jpegtran (Debian 12: python3-pil 9.4.0, libjpeg-turbo-progs 2.1.5). A few files that this Pillow reads wrongly are left out:
run-length BMP with moves or odd absolute runs, GIF with a local palette of grays beside a global one.

    python3 make_codec_corpus.py --sweep FOLDER

writes instead about 1300 JPEG files of all samplings, sizes and qualities into FOLDER, for "glip-imaging-fuzz compare".
"""
import io
import os
import random
import struct
import subprocess
import sys

from PIL import Image, ImageFile, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
RNG = random.Random(20240607)
SAMPLINGS = {
    "444": "1x1", "422": "2x1", "420": "2x2", "440": "1x2", "411": "4x1", "410": "4x2", "441": "1x4", "442": "2x4",
    "mixed1": "2x2,1x2,2x1", "mixed2": "2x1,1x1,2x1", "mixed3": "1x1,2x2,2x2", "mixed4": "4x1,2x1,1x1",
    "mixed5": "1x1,2x1,1x2", "mixed6": "2x2,1x1,2x2",
}
SIZES = [(1, 1), (2, 1), (1, 2), (3, 2), (2, 3), (5, 4), (4, 5), (7, 7), (8, 8), (9, 9), (15, 17), (16, 16), (17, 15), (31, 33),
         (33, 31), (64, 48), (65, 49), (97, 131), (130, 7), (6, 77)]


def expected(data, truncated=False):
    ImageFile.LOAD_TRUNCATED_IMAGES = truncated
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    return image


def save(folder, name, data):
    image = expected(data, name.startswith(("truncated", "no-eoi")))
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)
    image.save(os.path.join(folder, name + ".png"), optimize=True)


def picture(width, height, kind, mode="RGB"):
    channels = len(mode)
    if kind == "noise":
        return Image.frombytes(mode, (width, height), RNG.randbytes(width * height * channels))
    across, down = width // 8 + 1, height // 8 + 1
    image = Image.frombytes(mode, (across, down), RNG.randbytes(across * down * channels)).resize((width, height), Image.BICUBIC)
    if kind == "mixed":
        for _ in range(max(1, width * height // 30)):
            color = tuple(RNG.randbytes(channels))
            image.putpixel((RNG.randrange(width), RNG.randrange(height)), color if channels > 1 else color[0])
    return image


def cjpeg(image, *arguments):
    ppm = io.BytesIO()
    image.save(ppm, "PPM")
    return subprocess.run(["cjpeg", *arguments], input=ppm.getvalue(), capture_output=True, check=True).stdout


def pillow(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def with_transform(data, transform):
    at = data.index(b"Adobe") + 11
    return data[:at] + bytes([transform]) + data[at + 1:]


def segments(data):
    """The marker segments up to the scan's data, each with its marker, and the rest."""
    parts, at = [], 2
    while True:
        length = struct.unpack(">H", data[at + 2:at + 4])[0]
        parts.append(data[at:at + 2 + length])
        at += 2 + length
        if parts[-1][1] == 0xDA:
            return parts, data[at:]


def exif(order, orientation, kind=3):
    pack = "<" if order == "II" else ">"
    value = struct.pack(pack + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    tiff = (b"II*\0" if order == "II" else b"MM\0*") + struct.pack(pack + "IH", 8, 2)
    tiff += struct.pack(pack + "HHI", 0x0100, 3, 1) + struct.pack(pack + "HH", 7, 0)
    tiff += struct.pack(pack + "HHI", 0x0112, kind, 1) + value + struct.pack(pack + "I", 0)
    return tiff


def with_exif(data, tiff):
    content = b"Exif\0\0" + tiff
    return data[:2] + b"\xFF\xE1" + struct.pack(">H", len(content) + 2) + content + data[2:]


def sampled_jpeg(sampling, size, quality, extra):
    image = picture(*size, RNG.choice(["noise", "smooth", "mixed"]))
    return cjpeg(image, "-quality", str(quality), "-sample", SAMPLINGS[sampling], *extra)


EXTRAS = [[], ["-optimize"], ["-progressive"], ["-restart", "1"], ["-restart", "3B"], ["-progressive", "-restart", "2B"]]


def make_sweep(folder):
    os.makedirs(folder, exist_ok=True)
    number = 0
    for sampling in SAMPLINGS:
        for size in SIZES:
            for quality in (RNG.choice([1, 5, 20, 50]), 75, RNG.choice([85, 95, 100])):
                number += 1
                extra = RNG.choice(EXTRAS)
                name = f"{sampling}-{size[0]}x{size[1]}-q{quality}{''.join(extra)}-{number}.jpg"
                save(folder, name, sampled_jpeg(sampling, size, quality, extra))
    for size in SIZES:
        for quality in (1, 30, 75, 100):
            for progressive in (False, True):
                number += 1
                options = {"quality": quality, "progressive": progressive}
                rest = f"-{size[0]}x{size[1]}-q{quality}-{number}.jpg"
                save(folder, "gray" + rest, pillow(picture(*size, RNG.choice(["noise", "smooth"]), "L"), **options))
                cmyk = pillow(picture(*size, RNG.choice(["noise", "smooth"]), "CMYK"), **options)
                save(folder, "cmyk" + rest, cmyk)
                save(folder, "ycck" + rest, with_transform(cmyk, 2))


def make_jpeg(folder):
    for i, sampling in enumerate(SAMPLINGS):
        for j, size in enumerate([(1, 1), (3, 2), (17, 15), (33, 31), (40, 9)]):
            quality = [75, 1, 95, 50, 100][(i + j) % 5]
            extra = EXTRAS[(i + j) % len(EXTRAS)]
            save(folder, f"{sampling}-{size[0]}x{size[1]}-q{quality}{''.join(extra)}.jpg", sampled_jpeg(sampling, size, quality, extra))
    for quality in (10, 60, 92):
        for progressive in (False, True):
            kind = "progressive" if progressive else "baseline"
            options = {"quality": quality, "progressive": progressive}
            save(folder, f"gray-{kind}-q{quality}.jpg", pillow(picture(21, 18, "mixed", "L"), **options))
            cmyk = pillow(picture(19, 14, "smooth", "CMYK"), **options)
            save(folder, f"cmyk-{kind}-q{quality}.jpg", cmyk)
            save(folder, f"ycck-{kind}-q{quality}.jpg", with_transform(cmyk, 2))

    save(folder, "gray-2x2.jpg", cjpeg(picture(21, 18, "smooth", "L"), "-sample", "2x2"))
    save(folder, "rgb.jpg", cjpeg(picture(21, 18, "mixed"), "-rgb"))
    plain = cjpeg(picture(37, 29, "mixed"), "-quality", "85", "-sample", "2x2")
    parts, rest = segments(plain)
    no_jfif = [p for p in parts if p[1] != 0xE0]
    adobe = b"\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00"
    save(folder, "adobe-rgb.jpg", plain[:2] + adobe + b"\0" + b"".join(no_jfif) + rest)
    save(folder, "adobe-ycc.jpg", plain[:2] + adobe + b"\1" + b"".join(no_jfif) + rest)
    save(folder, "no-jfif.jpg", plain[:2] + b"".join(no_jfif) + rest)
    save(folder, "no-huffman-tables.jpg", plain[:2] + b"".join(p for p in parts if p[1] != 0xC4) + rest)
    save(folder, "fill-bytes.jpg", plain[:2] + b"\xFF\xFF".join(parts) + rest[:-2] + b"\xFF\xFF" + rest[-2:])
    save(folder, "bytes-between.jpg", plain[:2] + parts[0] + b"\0abc" + b"".join(parts[1:]) + rest[:-2] + b"abc\xFF\xD9")
    save(folder, "bytes-behind.jpg", plain + b"and more\xFF\xD8\xFF")
    save(folder, "no-eoi.jpg", plain[:-2])
    wide = [b"\xFF\xDB\x00\x83" + bytes([0x10 | p[4]]) + b"".join(struct.pack(">H", v) for v in p[5:]) if p[1] == 0xDB else p for p in parts]
    save(folder, "wide-quantization.jpg", plain[:2] + b"".join(wide) + rest)
    scripts = {"separate": "0;\n1;\n2;\n", "pair": "1 2;\n0;\n"}
    for name, script in scripts.items():
        path = os.path.join(folder, "scans.txt")
        with open(path, "w") as file:
            file.write(script)
        save(folder, f"scans-{name}.jpg", cjpeg(picture(37, 29, "mixed"), "-sample", "2x2", "-scans", path))
        os.remove(path)

    small = cjpeg(picture(5, 3, "mixed"), "-quality", "90")
    for orientation in range(1, 9):
        order = ["II", "MM"][orientation % 2]
        save(folder, f"exif-{orientation}-{order}.jpg", with_exif(small, exif(order, orientation)))
    save(folder, "exif-long.jpg", with_exif(small, exif("II", 6, kind=4)))
    save(folder, "exif-9.jpg", with_exif(small, exif("II", 9)))
    save(folder, "exif-0.jpg", with_exif(small, exif("MM", 0)))
    save(folder, "exif-twice.jpg", with_exif(with_exif(small, exif("MM", 3)), exif("II", 6)))
    large = cjpeg(picture(70, 45, "smooth"), "-quality", "50")
    save(folder, "exif-large.jpg", with_exif(large, exif("MM", 5)))

    for cut in (len(plain) - 40, len(plain) * 3 // 4, len(plain) - len(rest) + 30):
        save(folder, f"truncated-{cut}.jpg", plain[:cut])
    restarts = cjpeg(picture(37, 29, "mixed"), "-restart", "1B", "-sample", "1x1")
    save(folder, f"truncated-restarts.jpg", restarts[:len(restarts) * 2 // 3])
    gray = pillow(picture(40, 40, "mixed", "L"))
    save(folder, "truncated-gray.jpg", gray[:len(gray) * 3 // 4])


def bmp_rows(pixels, bits, flip):
    width = len(pixels[0])
    stride = (width * bits + 31) // 32 * 4
    rows = []
    for row in pixels:
        if bits <= 8:
            text = "".join(format(v, f"0{bits}b") for v in row)
            text += "0" * (-len(text) % 8)
            data = bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))
        else:
            data = b"".join(v.to_bytes(bits // 8, "little") for v in row)
        rows.append(data.ljust(stride, b"\0"))
    return b"".join(reversed(rows) if flip else rows)


def bmp(width, height, bits, data, compression=0, header_bytes=40, palette=b"", colors=0, masks=b"", top_down=False, offset=None):
    if header_bytes == 12:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", header_bytes, width, -height if top_down else height, 1, bits, compression, len(data), 2835, 2835, colors, 0)
        if header_bytes > 40:
            header = (header + masks).ljust(header_bytes, b"\0")
    extra = masks if header_bytes == 40 else b""
    start = 14 + len(header) + len(extra) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start if offset is None else offset) + header + extra + palette + data


def run_length(width, height, nibbles):
    out = b""
    for _ in range(height):
        x = 0
        while x < width:
            if RNG.random() < 0.5 and width - x >= 4:
                count = RNG.randrange(4, min(width - x, 20) + 1) & (~3 if nibbles else ~0)
                size = count // 2 if nibbles else count
                out += bytes([0, count]) + RNG.randbytes(size) + b"\0" * (size & 1)
            else:
                count = RNG.randrange(1, min(width - x, 30) + 1)
                out += bytes([count, RNG.randrange(256)])
            x += count
        out += b"\0\0"
    return out + b"\0\1"


def make_bmp(folder):
    width, height = 13, 7

    def pixels(levels):
        return [[RNG.randrange(levels) for _ in range(width)] for _ in range(height)]

    for bits in (1, 4, 8):
        for header_bytes, top_down in ((12, False), (40, False), (40, True), (64, False), (124, True)):
            entries = [RNG.randbytes(3) for _ in range(1 << bits)]
            palette = b"".join(e if header_bytes == 12 else e + b"\0" for e in entries)
            data = bmp_rows(pixels(1 << bits), bits, not top_down)
            name = f"palette{bits}-{header_bytes}{'-top' if top_down else ''}.bmp"
            save(folder, name, bmp(width, height, bits, data, header_bytes=header_bytes, palette=palette, top_down=top_down))
    for bits, header_bytes in ((16, 40), (24, 12), (24, 40), (32, 40), (32, 108)):
        save(folder, f"color{bits}-{header_bytes}.bmp", bmp(width, height, bits, bmp_rows(pixels(1 << bits), bits, True), header_bytes=header_bytes))
    layouts = [(16, (0xF800, 0x7E0, 0x1F)), (16, (0x7C00, 0x3E0, 0x1F)), (24, (0xFF0000, 0xFF00, 0xFF)), (32, (0xFF0000, 0xFF00, 0xFF)),
               (32, (0xFF000000, 0xFF0000, 0xFF00)), (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)), (32, (0, 0, 0))]
    for bits, layout in layouts:
        masks = b"".join(m.to_bytes(4, "little") for m in layout)
        for header_bytes in (40, 124) if len(layout) == 3 else (124,):
            data = bmp_rows(pixels(1 << bits), bits, True)
            name = f"fields{bits}-{layout[0]:x}-{len(layout)}-{header_bytes}.bmp"
            save(folder, name, bmp(width, height, bits, data, compression=3, header_bytes=header_bytes, masks=masks))
    save(folder, "palette8-short.bmp", bmp(width, height, 8, bmp_rows(pixels(256), 8, True), palette=RNG.randbytes(40), colors=10))
    save(folder, "palette8-offset.bmp", bmp(width, height, 8, bmp_rows(pixels(256), 8, True), palette=RNG.randbytes(1024), offset=54))
    for size in ((1, 1), (40, 13)):
        save(folder, f"rle8-{size[0]}x{size[1]}.bmp", bmp(*size, 8, run_length(*size, False), compression=1, palette=RNG.randbytes(1024)))
        save(folder, f"rle4-{size[0]}x{size[1]}.bmp", bmp(*size, 4, run_length(*size, True), compression=2, palette=RNG.randbytes(64)))


def make_pnm(folder):
    for width, height in ((1, 1), (11, 6)):
        size = f"{width}x{height}"
        bits = [str(RNG.randrange(2)) for _ in range(width * height)]
        save(folder, f"p1-{size}.pbm", f"P1\n# comment\n{width} {height}\n{' '.join(bits)}\n".encode())
        save(folder, f"p1-{size}-tight.pbm", f"P1 {width} {height} {''.join(bits)}\n".encode())
        save(folder, f"p4-{size}.pbm", f"P4\n{width} {height}\n".encode() + RNG.randbytes((width + 7) // 8 * height))
        for largest in (1, 100, 255):
            values = [RNG.randrange(largest + 1) for _ in range(width * height)]
            save(folder, f"p2-{size}-{largest}.pgm", f"P2\n{width} {height} # comment\n{largest}\n{' '.join(map(str, values))}\n".encode())
            save(folder, f"p5-{size}-{largest}.pgm", f"P5\n{width}\n#comment\n{height}\n{largest}\n".encode() + bytes(values))
        for largest in (1, 100, 255, 256, 1000, 65535):
            values = [RNG.randrange(largest + 1) for _ in range(width * height * 3)]
            data = bytes(values) if largest < 256 else b"".join(struct.pack(">H", v) for v in values)
            digits = "\n#1 2 3\n".join(map(str, values))
            save(folder, f"p3-{size}-{largest}.ppm", f"P3\n{width} {height} {largest}\n{digits}\n".encode())
            save(folder, f"p6-{size}-{largest}.ppm", f"P6\r{width}\t{height}\n{largest}\n".encode() + data)
    save(folder, "p6-above-largest.ppm", b"P6 4 4 100 " + RNG.randbytes(48))


def lzw(indices, bits):
    """GIF data in which every index is a code of its own: the table is cleared before codes become longer."""
    value, length = 0, 0
    codes = []
    for i, index in enumerate(indices):
        if i % ((1 << bits) - 2) == 0:
            codes.append(1 << bits)
        codes.append(index)
    for code in codes + [(1 << bits) + 1]:
        value |= code << length
        length += bits + 1
    data = value.to_bytes((length + 7) // 8, "little")
    return bytes([bits]) + b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255)) + b"\0"


def gif(size, palette, frames, background=0):
    def flags(p):
        return 0x80 | ((len(p) // 3).bit_length() - 2) if p else 0

    out = b"GIF89a" + struct.pack("<HHBBB", *size, flags(palette), background, 0) + palette
    for box, local, transparent, interlaced, bits in frames:
        if transparent is not None:
            out += b"!\xF9\x04" + bytes([1, 0, 0, transparent]) + b"\0"
        out += b"!\xFE\x03abc\0," + struct.pack("<HHHHB", *box, flags(local) | (0x40 if interlaced else 0)) + local
        out += lzw([RNG.randrange(1 << bits) for _ in range(box[2] * box[3])], bits)
    return out + b";"


def make_gif(folder):
    for width, height in ((1, 1), (2, 9), (40, 31)):
        for colors, interlaced, transparent in ((2, 0, None), (16, 1, 3), (200, 1, None), (256, 0, 77)):
            data = bytes(RNG.randrange(colors) if RNG.random() < 0.5 else i // 7 % colors for i in range(width * height))
            image = Image.frombytes("P", (width, height), data)
            image.putpalette(RNG.randbytes(3 * colors))
            file = io.BytesIO()
            image.save(file, "GIF", interlace=interlaced, **({} if transparent is None else {"transparency": transparent}))
            save(folder, f"pillow-{width}x{height}-{colors}.gif", file.getvalue())
    ramp = bytes(v for i in range(256) for v in (i, i, i))
    p16 = RNG.randbytes(48)
    cases = {
        "local": ((10, 8), p16, [((0, 0, 10, 8), RNG.randbytes(12), None, False, 2)]),
        "offset-interlaced": ((20, 18), p16, [((3, 5, 10, 8), b"", None, True, 4)]),
        "offset-transparent": ((20, 18), p16, [((3, 5, 10, 8), b"", 7, False, 4)]),
        "offset-local-transparent": ((20, 18), p16, [((3, 5, 10, 8), RNG.randbytes(48), 7, False, 4)]),
        "beyond-screen": ((6, 6), p16, [((3, 5, 10, 8), b"", None, True, 4)]),
        "background": ((16, 16), p16, [((3, 5, 4, 3), b"", None, True, 4)], 9),
        "two-frames": ((10, 8), p16, [((0, 0, 10, 8), b"", 1, False, 4), ((0, 0, 10, 8), b"", None, False, 4)]),
        "no-palette": ((10, 8), b"", [((0, 0, 10, 8), b"", None, False, 4)]),
        "gray-palette": ((10, 8), ramp, [((0, 0, 9, 7), b"", 5, False, 8)]),
        "short-palette": ((10, 8), RNG.randbytes(12), [((0, 0, 9, 7), b"", None, False, 8)]),
    }
    for name, arguments in cases.items():
        save(folder, f"{name}.gif", gif(*arguments))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--sweep":
        make_sweep(sys.argv[2])
        return
    for name, make in (("jpeg", make_jpeg), ("bmp", make_bmp), ("pnm", make_pnm), ("gif", make_gif)):
        folder = os.path.join(HERE, name)
        os.makedirs(folder, exist_ok=True)
        for old in os.listdir(folder):
            os.remove(os.path.join(folder, old))
        make(folder)


main()
