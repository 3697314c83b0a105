"""Image files: pixels × size × extension × damage × metadata × name × way of reading."""

import io
import logging
import os
import struct
import zlib

import numpy as np
from cells import parametrize, refusal, require_none
from PIL import Image, PngImagePlugin

from jaxgan import datasets

# kind of pixels: the formats that can store it
PIXELS = {
    "grey": "png jpg webp bmp gif tif",
    "grey of 2 bits": "png",
    "grey of 16 bits": "png tif",
    "grey of 32 bits": "tif",
    "floats": "tif",
    "black and white": "png bmp gif tif",
    "grey and alpha": "png tif",
    "colour": "png jpg webp bmp tif",
    "colour of 16 bits": "png",
    "colour and alpha": "png webp tif",
    "colour and alpha of 16 bits": "png",
    "palette": "png bmp gif tif",
    "palette of 1 bit": "png",
    "inks": "jpg tif",
}
SUFFIXES = {
    "png": ("png", "PNG", "jpg"),
    "jpg": ("jpg", "JPeG", "png"),
    "webp": ("webp", "WEBP", "jpeg"),
    "bmp": ("bmp", "Bmp", "tif"),
    "gif": ("gif", "GIF", "png"),
    "tif": ("tif", "TIFF", "bmp"),
}
METADATA = {
    "none": "png jpg webp bmp gif tif",
    "turned": "png jpg webp tif",
    "mirrored": "png jpg webp tif",
    "no such turn": "png jpg webp tif",
    "profile": "png jpg webp tif",
    "damaged profile": "png jpg webp tif",
    "transparent colour": "png gif",
    "several frames": "png webp gif tif",
    "comment": "png jpg gif",
}
NAMES = {
    "plain": b"a",
    "no UTF-8": b"caf\xe9",
    "space": b"a b ",
    "hidden": b".a",
    "brackets": b"a[0-9]*?",
    "backslash": b"a\\b",
    "dash": b"-a",
    "new line": b"a\nb",
    "long": b"a" * 240,
    "percent": b"%s{0}",
}
DAMAGES = ("none", "half", "last bytes", "empty", "random bytes", "zeros", "a web page", "a flipped bit")
AXES = {
    "pixels": tuple(PIXELS),
    "format": tuple(SUFFIXES),
    "size": ("1x1", "8x8", "9x7", "300x2", "1x40"),
    "suffix": ("usual", "upper case", "of another format"),
    "damage": DAMAGES,
    "metadata": tuple(METADATA),
    "name": tuple(NAMES),
    "channels": (1, 3, 4),
    "image_size": (0, 8),
    "skip_damaged": (False, True),
}
ALLOWED = {
    ("pixels", "format"): lambda cell: cell["format"] in PIXELS[cell["pixels"]].split(),
    ("metadata", "format"): lambda cell: cell["format"] in METADATA[cell["metadata"]].split(),
    # a profile or a transparent colour is not used with other kinds of pixels
    ("pixels", "metadata"): lambda cell: (
        (cell["metadata"] != "transparent colour" or cell["pixels"] in ("grey", "colour", "palette"))
        and (
            cell["metadata"] == "none"
            or cell["pixels"] not in ("grey of 2 bits", "colour of 16 bits", "colour and alpha of 16 bits")
        )
    ),
    ("pixels", "metadata", "format"): lambda cell: (
        cell["metadata"] != "several frames" or cell["pixels"] in ("colour", "grey", "palette")
    ),
}
WHOLE = AXES | {
    "damage": ("none",),
    "name": tuple(name for name in NAMES if name != "hidden"),
    "pixels": tuple(kind for kind in PIXELS if kind not in ("floats", "grey of 32 bits")),
}


def colours(height, width):
    """uint8 [H, W, 4]: the left third red, the middle green, the right blue; the lower half darker."""
    pixels = np.zeros((height, width, 4), np.uint8)
    for x in range(width):
        pixels[:, x] = ((250, 20, 40, 255), (30, 230, 10, 255), (0, 60, 240, 255))[3 * x // width]
    pixels[height // 2 :, :, :3] //= 2
    return pixels


def luma(pixels):
    return np.round(pixels[..., :3].astype(float) @ (0.299, 0.587, 0.114)).astype(np.uint8)


def draw(kind, height, width):
    """A Pillow image, or the bytes of a PNG; and its visible pixels, uint8 [H, W, 4]."""
    shown = colours(height, width)
    grey, alpha = luma(shown), np.full((height, width), 255, np.uint8)
    alpha[:, : width // 2] = 100

    def of_grey(values):
        return np.stack([values] * 3 + [np.full_like(values, 255)], axis=-1)

    def with_alpha(pixels):
        return np.concatenate([pixels[..., :3], alpha[..., None]], axis=-1)

    if kind == "grey":
        return Image.fromarray(grey), of_grey(grey)
    if kind == "grey of 2 bits":
        return raw_png(grey // 64, 2, 0), of_grey(grey // 64 * 85)
    if kind == "grey of 16 bits":
        return Image.fromarray(grey.astype(np.uint16) * 257 + 3), of_grey(grey)
    if kind == "grey of 32 bits":
        return Image.fromarray(grey.astype(np.int32) * 65536), None
    if kind == "floats":
        return Image.fromarray(grey.astype(np.float32) / 255), None
    if kind == "black and white":
        return Image.fromarray(grey > 90), of_grey(np.where(grey > 90, 255, 0).astype(np.uint8))
    if kind == "grey and alpha":
        return Image.fromarray(np.stack([grey, alpha], axis=-1), "LA"), with_alpha(of_grey(grey))
    if kind == "colour":
        return Image.fromarray(shown[..., :3]), shown
    if kind == "colour of 16 bits":
        return raw_png(shown[..., :3].astype(np.uint16) * 257, 16, 2), shown
    if kind == "colour and alpha":
        return Image.fromarray(with_alpha(shown)), with_alpha(shown)
    if kind == "colour and alpha of 16 bits":
        return raw_png(with_alpha(shown).astype(np.uint16) * 257, 16, 6), with_alpha(shown)
    if kind == "palette":
        table, index = np.unique(shown[..., :3].reshape(-1, 3), axis=0, return_inverse=True)
        image = Image.fromarray(index.reshape(height, width).astype(np.uint8), "P")
        image.putpalette(table.astype(np.uint8).tobytes())
        return image, shown
    if kind == "palette of 1 bit":
        table = np.array([[250, 20, 40], [0, 60, 240]], np.uint8)
        index = (np.arange(width) >= width // 2).astype(np.uint8)[None].repeat(height, 0)
        return raw_png(index, 1, 3, table), of_palette(table[index])
    inks = np.concatenate([255 - shown[..., :3], np.zeros((height, width, 1), np.uint8)], axis=-1)
    return Image.fromarray(inks, "CMYK"), shown


def of_palette(pixels):
    return np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], axis=-1)


def raw_png(values, bits, kind, palette=None):
    """The bytes of a PNG with `bits` per sample, which Pillow cannot write."""
    height, width = values.shape[:2]

    def chunk(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    if bits == 16:
        rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        each = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        rows = np.packbits(each.reshape(height, -1).astype(np.uint8), axis=1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    table = chunk(b"PLTE", palette.tobytes()) if palette is not None else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + table
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def encode(cell):
    """The bytes of the file, and its visible pixels, uint8 [H, W, 4], or None if they are unknown."""
    width, height = map(int, cell["size"].split("x"))
    image, shown = draw(cell["pixels"], height, width)
    if isinstance(image, bytes):
        return image, shown
    form, kind, more = cell["format"], cell["metadata"], {}
    if form == "jpg":
        more["quality"] = 98
        if image.mode == "RGB":
            more["subsampling"] = 0
    if form == "webp":
        more["lossless"] = True
        more["exact"] = True
    if kind in ("turned", "mirrored", "no such turn"):
        exif = Image.Exif()
        exif[0x0112] = {"turned": 6, "mirrored": 2, "no such turn": 77}[kind]
        more["exif"] = exif
        if shown is not None:
            shown = {"turned": lambda a: np.rot90(a, -1), "mirrored": lambda a: a[:, ::-1]}.get(
                kind, lambda a: a
            )(shown)
    if kind == "profile":
        from PIL import ImageCms

        more["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if kind == "damaged profile":
        more["icc_profile"] = b"no profile at all"
    if kind == "transparent colour":
        first = image.getpixel((0, 0))
        more["transparency"] = first
        reference = np.asarray(image)
        hidden = (reference == np.asarray(first)).reshape(height, width, -1).all(-1)
        shown = shown.copy()
        shown[hidden, 3] = 0
    if kind == "several frames":
        more |= {"save_all": True, "append_images": [image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)] * 2}
    if kind == "comment":
        if form == "png":
            more["pnginfo"] = PngImagePlugin.PngInfo()
            more["pnginfo"].add_text("about", "x" * 900)
        else:
            more["comment"] = b"x" * 900
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(form, form.upper()), **more)
    return file.getvalue(), shown


def hurt(data, damage):
    middle = len(data) * 2 // 3
    return {
        "none": data,
        "half": data[: len(data) // 2],
        "last bytes": data[:-5],
        "empty": b"",
        "random bytes": np.random.default_rng(0).bytes(len(data)),
        "zeros": bytes(len(data)),
        "a web page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "a flipped bit": bytes([*data[:middle], data[middle] ^ 8, *data[middle + 1 :]]),
    }[damage]


def reference(shown, channels, size):
    """uint8 [H, W, channels] by NumPy; if a size is given, the centre is resampled by Pillow."""
    alpha = shown[..., 3:].astype(float) / 255
    on_white = np.round(shown[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    image = {4: Image.fromarray(np.ascontiguousarray(shown)), 3: Image.fromarray(on_white)}.get(
        channels, Image.fromarray(luma(on_white))
    )
    if size:
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(image).reshape(image.height, image.width, channels)


def fault_of(folder, cell):
    folder.mkdir()
    data, shown = encode(cell)
    suffix = SUFFIXES[cell["format"]][("usual", "upper case", "of another format").index(cell["suffix"])]
    (folder / os.fsdecode(NAMES[cell["name"]] + b"." + suffix.encode())).write_bytes(
        hurt(data, cell["damage"])
    )
    name = os.fsdecode(NAMES[cell["name"]])
    side = 8 if cell["image_size"] or shown is None else None
    beside = colours(*((8, 8) if side else shown.shape[:2]))
    Image.fromarray(beside).save(folder / "zz.png")
    fields = {name: cell[name] for name in ("channels", "image_size", "skip_damaged")}
    found, message, fault = refusal(
        lambda: datasets.load("images", path=str(folder), **fields),
        name[:20], "image_size", ascii(name)[1:-1], root=folder,
    )  # fmt: skip
    if fault:
        return fault
    second = reference(beside, cell["channels"], cell["image_size"])
    if cell["name"] == "hidden":
        if message:
            return f"refused: {message}"
        return (
            ""
            if len(found) == 1 and np.abs(found.examples[0].astype(int) - second).max() <= 1
            else "other examples"
        )
    if cell["damage"] != "none" and cell["skip_damaged"] and found is not None and len(found) == 1:
        return (
            "" if np.abs(found.examples[0].astype(int) - second).max() <= 1 else "the other image is changed"
        )
    if message:
        whole = cell["damage"] == "none" and shown is not None
        return f"refused: {message}" if whole else ""
    if shown is None:
        return f"taken, of an unknown range: {found.examples[0].min()} to {found.examples[0].max()}"
    first = reference(shown, cell["channels"], cell["image_size"])
    if found.examples.shape != (2, *first.shape):
        return f"shape {found.examples.shape}"
    difference = np.abs(found.examples[0].astype(int) - first)
    near = 12 if cell["format"] == "jpg" else 2
    if (
        cell["damage"] == "a flipped bit"
    ):  # without a checksum the damage cannot be detected; the result is still an image
        return ""
    if difference.max() > near:
        y, x, c = np.argwhere(difference > near)[0]
        return (
            f"pixel {y}, {x}: {found.examples[0][y, x]}, not {first[y, x]}; {(difference > near).mean():.0%}"
        )
    return ""


# each invalid value, among valid values
SPOILT = [
    (WHOLE | {axis: tuple(value for value in AXES[axis] if value not in WHOLE[axis])}, ALLOWED)
    for axis in ("damage", "pixels")
]


@parametrize((AXES, ALLOWED), (WHOLE, ALLOWED), *SPOILT)
def test_images(tmp_path, monkeypatch, caplog, made):
    caplog.set_level(logging.CRITICAL, logger="absl")  # names with invalid UTF-8 are left out of reports
    monkeypatch.setenv("JAXGAN_CACHE_DIR", str(tmp_path / "cache"))
    faults = [(cell, fault_of(tmp_path / str(i), cell)) for i, cell in enumerate(made)]
    require_none([(cell, fault) for cell, fault in faults if fault], len(made))
