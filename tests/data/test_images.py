"""Reading films: every mode scaled rightly, every bad file named before it can do harm."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from medjax.data.images import (
    decode,
    encode_jpeg,
    read_film,
    read_grey,
)
from medjax.data.paths import resolve_under
from medjax.errors import UserError

GRADIENT = np.arange(256, dtype=np.uint8).reshape(16, 16)


def save(path, image, **options):
    image.save(path, **options)
    return path


def test_grey_png_is_exact(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(GRADIENT))
    np.testing.assert_array_equal(read_grey(path), GRADIENT)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_other_modes_of_a_grey_film_equal_it(tmp_path, mode):
    path = save(tmp_path / "a.png", Image.fromarray(GRADIENT).convert(mode))
    np.testing.assert_array_equal(read_grey(path), GRADIENT)


def test_cmyk_jpeg_keeps_its_brightness(tmp_path):
    flat = Image.new("L", (32, 32), 180).convert("RGB").convert("CMYK")
    read = read_grey(save(tmp_path / "a.jpg", flat, quality=100))
    assert np.abs(read.astype(int) - 180).max() <= 3


def test_transparency_is_black(tmp_path):
    image = Image.fromarray(GRADIENT).convert("RGBA")
    image.putalpha(
        Image.fromarray(np.where(np.arange(16) < 8, 255, 0)[None].repeat(16, 0).astype(np.uint8))
    )
    read = read_grey(save(tmp_path / "a.png", image))
    np.testing.assert_array_equal(read[:, :8], GRADIENT[:, :8])
    assert not read[:, 8:].any()


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_grey_spans_the_bits_it_uses(tmp_path, bits):
    top = (1 << bits) - 1
    values = np.linspace(0, top, 256).round().astype(np.uint16).reshape(16, 16)
    read = read_grey(save(tmp_path / "a.png", Image.fromarray(values)))
    np.testing.assert_array_equal(read, np.rint(values * (255 / top)))


def test_exif_orientation_is_applied(tmp_path):
    tall = Image.fromarray(np.repeat(GRADIENT, 2, axis=0))
    exif = Image.Exif()
    exif[0x0112] = 6  # the upright film is this one turned clockwise
    read = read_grey(save(tmp_path / "a.png", tall, exif=exif))
    np.testing.assert_array_equal(read, np.rot90(np.asarray(tall), -1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"<html>not found</html>", "not a JPEG or PNG"), (b"\xff\xd8", "not a JPEG")],
)
def test_what_is_no_image_is_named(tmp_path, content, reason):
    path = tmp_path / "film.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"film.jpg: .*{reason}"):
        read_grey(path)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_image_is_named(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    path = save(tmp_path / f"film.{suffix}", Image.fromarray(noise))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UserError, match=f"film.{suffix}: damaged"):
        read_grey(path)


def claim_size(path, width, height):
    """A PNG file whose header claims a size that its pixels do not have."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("size", [(8001, 8000), (20_000, 10_000), (100_000, 1), (60_000, 60_000)])
def test_bombs_are_refused_before_decoding(tmp_path, size):
    with pytest.raises(UserError, match=r"film.png: .*(limit|no radiograph)"):
        read_grey(claim_size(tmp_path / "film.png", *size))


def test_paths_stay_under_their_root(tmp_path):
    root = tmp_path / "raw"
    root.mkdir()
    (root / "inside.jpg").write_bytes(b"x")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    os.mkfifo(root / "pipe.jpg")
    assert resolve_under(root, "inside.jpg") == (root / "inside.jpg").resolve()
    for bad in ("../secret.jpg", "link.jpg", "pipe.jpg", str(root / "inside.jpg")):
        with pytest.raises(UserError):
            resolve_under(root, bad)
    with pytest.raises(FileNotFoundError):
        resolve_under(root, "absent.jpg")


def smooth_jpeg(path, shape, **options):
    """A smooth film with a little noise."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(20, 235, (9, 8), dtype=np.uint8))
    film = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC), np.float32)
    noisy = np.clip(film + rng.normal(0, 3, shape), 0, 255).astype(np.uint8)
    return save(path, Image.fromarray(noisy), quality=92, **options)


@pytest.mark.parametrize(("scale", "shape"), [(1.0, (601, 402)), (0.3, (601, 402)),
                                              (0.25, (301, 201)), (0.1, (151, 101)),
                                              (0.01, (76, 51))])  # fmt: skip
def test_a_jpeg_is_decoded_at_twice_the_wanted_scale(tmp_path, scale, shape):
    path = smooth_jpeg(tmp_path / "a.jpg", (601, 402))
    film, size = read_film(path, scale=lambda width, height: scale)
    assert film.size == shape[::-1] and size == (402, 601)


def test_the_scale_is_asked_for_the_upright_film(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = smooth_jpeg(tmp_path / "a.jpg", (400, 800), exif=exif)
    asked = []
    film, size = read_film(path, scale=lambda *size: asked.append(size) or 0.25)
    assert asked == [(400, 800)] and size == (400, 800) and film.size == (200, 400)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_png_films_are_always_read_whole(tmp_path, suffix):
    path = smooth_jpeg(tmp_path / "a.jpg", (400, 400))
    if suffix == "png":
        path = save(tmp_path / "a.png", Image.open(path))
    film, _ = read_film(path, scale=lambda width, height: 0.1)
    assert film.size == ((400, 400) if suffix == "png" else (100, 100))


def test_stored_films_decode_to_grey():
    decoded = decode(encode_jpeg(Image.new("L", (30, 40), 77)))
    assert decoded.shape == (40, 30) and decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - 77).max() <= 1
