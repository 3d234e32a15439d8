"""Draws a synthetic chest film: bodies, lungs, heart, ribs and the findings asked for.

The plane is [-1, 1] across and about [-1.1, 1.1] downwards; image left is the patient's right.
Density runs from 0 (air, black) to 1 (dense, white). All shapes have soft edges, so that nothing
depends on the number of pixels. The films resemble portable ICU films; they are no physical model.
"""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image


class Findings(NamedTuple):
    """What is to be seen: strengths about 0 (absent) to 1 (severe); side -1 is image left."""

    edema: float = 0.0
    consolidation: float = 0.0
    consolidation_side: int = -1
    consolidation_size: float = 1.0
    """In shares of its usual radius, a quarter of the lungs' width."""
    consolidation_place: tuple[float, float] | None = None
    """Distance from the spine, and height; None: anywhere."""
    effusion_left: float = 0.0
    effusion_right: float = 0.0
    heart: float = 0.0
    mediastinum: float = 0.0
    pneumothorax: float = 0.0
    pneumothorax_side: int = 1
    pneumothorax_density: float = 0.17
    """Of its air; a lung has 0.24 and more."""
    atelectasis: float = 0.0
    lesion: float = 0.0
    lesion_radius: float = 0.07
    """A nodule; twice as much is a mass."""
    hyperinflation: float = 0.0
    fracture: bool = False
    tube: bool = False
    line: bool = False
    pacemaker: bool = False
    obesity: float = 0.0


class _Plane(NamedTuple):
    x: np.ndarray
    y: np.ndarray


class _Lungs(NamedTuple):
    """Soft masks `[height, width]` of both lungs, and the depth towards the diaphragm."""

    left: np.ndarray
    right: np.ndarray
    both: np.ndarray
    base: np.ndarray


def draw_frontal(
    findings: Findings, rng: np.random.Generator, width: int, portable: bool
) -> np.ndarray:
    """A frontal film, uint8 `[height, width]`; `portable` is the AP film of a patient in bed."""
    height = int(width * rng.uniform(1.0, 1.2))
    plane = _plane(width, height, rng, tilt=0.04 if portable else 0.015)
    breath = (0.0 if portable else 0.06) + 0.07 * findings.hyperinflation
    dome = rng.normal(0.56, 0.03) + breath
    lungs = _lungs(plane, dome, findings, rng)
    texture = _noise(rng, plane.x.shape, 14) + 0.6 * _noise(rng, plane.x.shape, 40)
    air = _opacities(_lung_density(plane, texture, findings), plane, texture, findings, rng)
    density = _body(plane, findings, rng, portable) * (1 - lungs.both) + lungs.both * air
    density += _ribs(plane, findings) + _spine(plane)
    if findings.pneumothorax > 0:
        density = _free_air(density, plane, lungs, findings)
    density = _blend(density, _heart(plane, findings, rng, portable), 0.71)
    density = _blend(density, _mediastinum(plane, findings), 0.70)
    density = _fluid(density, plane, lungs, findings)
    density += _devices(plane, findings, rng, portable)
    return _expose(density, plane, rng, width, portable)


def draw_lateral(findings: Findings, rng: np.random.Generator, width: int) -> np.ndarray:
    """A lateral film, uint8 `[height, width]`: spine at the right edge, sternum at the left."""
    height = int(width * rng.uniform(1.1, 1.2))
    p = _plane(width, height, rng, tilt=0.02)
    body = _below(np.abs(p.x + 0.05) - 0.72 - 0.08 * np.tanh(3 * p.y), 0.04)
    dome = 0.50 + 0.20 * p.x - 0.10 * np.cos(3.5 * (p.x + 0.1))
    lung = _ellipse(p, 0.0, -0.02, 0.56, 0.80, 0.06) * _below(p.y - dome, 0.03)
    density = body * 0.66 * (1 - lung) + lung * (0.32 + 0.25 * findings.edema)
    density += 0.025 * lung * _noise(rng, p.x.shape, 20)
    heart = _ellipse(p, -0.20, 0.26, 0.30 + 0.10 * findings.heart, 0.36, 0.10)
    density = _blend(density, heart * body, 0.66)
    spine = _ridge(p.x - 0.46 - 0.10 * np.cos(1.6 * p.y), 0.09) * body
    density += 0.16 * spine * (0.75 + 0.25 * np.cos(26 * p.y))
    density += 0.12 * _ridge(p.x + 0.60 + 0.08 * p.y, 0.025) * body
    ribs = np.clip(np.cos(22 * (p.y - 0.7 * p.x)) - 0.5, 0, None) * lung
    fluid = max(findings.effusion_left, findings.effusion_right)
    level = 0.62 - 0.45 * fluid - 0.10 * np.maximum(p.x, 0)
    density = _blend(density + 0.06 * ribs, body * _below(level - p.y, 0.05), 0.74)
    return _expose(density, p, rng, width, portable=False)


def _plane(width: int, height: int, rng: np.random.Generator, tilt: float) -> _Plane:
    """Coordinates of a patient who lies a little shifted, turned and near or far.

    Anatomy is soft, so it is drawn on every second pixel only; `_expose` enlarges it.
    """
    width, height = width // 2, height // 2
    angle, (dx, dy) = tilt * rng.standard_normal(), 0.04 * rng.standard_normal(2)
    scale = 0.90 + 0.04 * rng.standard_normal()
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * scale + np.float32(dx)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(scale * height / width)
    y = y + np.float32(dy)
    cos, sin = math.cos(angle), math.sin(angle)
    return _Plane(cos * x + sin * y, cos * y - sin * x)


def _below(distance: np.ndarray, soft: float) -> np.ndarray:
    """1 where `distance` is negative, 0 where positive, a smooth step of half width `soft`."""
    return _smooth(distance * np.float32(-0.5 / soft) + np.float32(0.5))


def _ridge(distance: np.ndarray, half_width: float) -> np.ndarray:
    """A smooth line along the zeros of `distance`."""
    return _smooth(np.abs(distance) * np.float32(-1 / half_width) + np.float32(1))


def _smooth(t: np.ndarray) -> np.ndarray:
    """The cubic step 3 t^2 - 2 t^3 of `t` cut to [0, 1]."""
    t = np.minimum(np.maximum(t, 0), 1)
    return t * t * (3 - 2 * t)


def _ellipse(p: _Plane, x: float, y: float, a: float, b: float, soft: float) -> np.ndarray:
    dx, dy = (p.x - x) * (1 / a), (p.y - y) * (1 / b)
    return _below((np.sqrt(dx * dx + dy * dy) - 1) * min(a, b), soft)


def _blend(density: np.ndarray, mask: np.ndarray, value: float) -> np.ndarray:
    """Lay a denser shape over the film; where the film is denser already it stays."""
    return density + mask * np.maximum(value - density, 0)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> np.ndarray:
    """Smooth noise of unit variance at about `cells` grains across."""
    grains = rng.standard_normal((cells, cells), dtype=np.float32)
    size = (shape[1], shape[0])
    return np.asarray(Image.fromarray(grains).resize(size, Image.Resampling.BILINEAR))


def _body(p: _Plane, findings: Findings, rng: np.random.Generator, portable: bool) -> np.ndarray:
    """Neck, shoulders, chest wall and arms; a large body leaves no air at the sides."""
    wide = 0.92 + 0.12 * findings.obesity + 0.03 * rng.standard_normal()
    shoulder = 0.5 + 0.5 * np.tanh(7 * (p.y + 0.90))
    half_width = 0.24 + (wide - 0.24) * shoulder - 0.05 * np.exp(-(((p.y - 0.1) / 0.4) ** 2))
    trunk = _below(np.abs(p.x) - half_width, 0.03)
    arms = _below(np.abs(np.abs(p.x) - 1.04 - 0.12 * p.y) - 0.13, 0.04) * _below(-0.62 - p.y, 0.1)
    density = np.maximum(trunk * (0.60 + 0.05 * findings.obesity), 0.42 * arms)
    rim = trunk * _below(half_width - 0.07 - np.abs(p.x), 0.05)
    density -= 0.12 * rim
    abdomen = _below(0.50 - p.y, 0.2) * trunk
    density += 0.12 * abdomen
    clavicle = np.abs(p.y + 0.70 - 0.18 * (np.abs(p.x) - 0.1) * (1 if portable else 0.6))
    inside = _below(np.abs(np.abs(p.x) - 0.40) - 0.32, 0.04)
    density += 0.10 * _ridge(clavicle, 0.035) * inside * trunk
    shoulder_blade = _ridge(np.abs(p.x) - 0.80 + 0.18 * (p.y + 0.3), 0.05)
    density += 0.06 * shoulder_blade * _below(np.abs(p.y + 0.35) - 0.32, 0.08)
    return density


def _lungs(p: _Plane, dome: float, findings: Findings, rng: np.random.Generator) -> _Lungs:
    """Each lung narrows to the apex, is cut below by a dome and inside by the mediastinum."""
    top, squeeze = -0.74 + 0.02 * rng.standard_normal(), 0.68 + 0.02 * rng.standard_normal()
    masks = []
    base = np.zeros_like(p.x)
    for side, lift in ((-1, 0.06), (1, 0.0)):
        u = p.x * side
        depth = np.clip((p.y - top) / (dome + 0.25 - top), 0, 1)
        outer = squeeze * (depth * (2 - depth) + 1e-4) ** 0.42 * (0.92 + 0.08 * depth)
        inner = 0.13 - 0.05 * _below(p.y + 0.45, 0.2)
        diaphragm = dome - lift + 0.22 * ((u - 0.34) / 0.36) ** 2
        if side == -1:
            diaphragm = diaphragm - 0.16 * findings.atelectasis
        mask = _below(u - outer, 0.03) * _below(inner - u, 0.03) * _below(p.y - diaphragm, 0.025)
        masks.append(mask * _below(top - p.y, 0.03))
        base += np.where(u > 0, p.y - dome + lift, 0)
    left, right = masks
    return _Lungs(left, right, np.maximum(left, right), base)


def _lung_density(p: _Plane, texture: np.ndarray, findings: Findings) -> np.ndarray:
    """Air with vessels that thin out from the hilum; a large chest wall whitens all."""
    away = np.hypot(np.abs(p.x) - 0.16, (p.y - 0.0) * 0.7)
    vessels = np.exp(-3.2 * away)
    clear = 0.24 - 0.05 * findings.hyperinflation + 0.05 * findings.obesity
    lower = 0.05 * np.clip(p.y + 0.2, 0, 1)
    return clear + lower + vessels * (0.15 + 0.05 * texture) + 0.012 * texture


def _ribs(p: _Plane, findings: Findings) -> np.ndarray:
    """Nine posterior ribs that fall outwards and fainter anterior ribs that fall inwards."""
    u = np.abs(p.x)
    cage = _below(np.hypot(u / 0.78, (p.y + 0.02) / 0.86) - 1, 0.05) * _below(p.y - 0.6, 0.15)
    arch = p.y - 0.62 * np.maximum(u - 0.30, 0) ** 2 * 1.9 + 0.10 * np.sin(3.4 * u)
    phase = np.cos(np.float32(2 * np.pi / 0.155) * arch)
    posterior = np.clip(phase - 0.25, 0, 0.45) * _below(0.10 - u, 0.04)
    front = np.cos(np.float32(2 * np.pi / 0.20) * (p.y + 0.75 * u))
    anterior = np.clip(front - 0.45, 0, 0.4) * _below(0.34 - u, 0.08)
    ribs = cage * (0.15 * posterior + 0.06 * anterior)
    if findings.fracture:
        ribs += 0.10 * _ellipse(p, -0.58, 0.05, 0.05, 0.03, 0.02)
    return ribs


def _spine(p: _Plane) -> np.ndarray:
    """Vertebral bodies and, above the carina, the dark air of the windpipe."""
    column = _below(np.abs(p.x) - 0.075, 0.02) * (0.7 + 0.3 * np.cos(30 * p.y))
    trachea = _ridge(p.x + 0.01, 0.055) * _below(p.y + 0.28, 0.06)
    return 0.07 * column - 0.11 * trachea


def _heart(p: _Plane, findings: Findings, rng: np.random.Generator, portable: bool) -> np.ndarray:
    """Left ventricle towards image right, right atrium beyond the spine; larger on AP films."""
    size = (1.0 if portable else 0.90) * (1 + 0.45 * findings.heart + 0.04 * rng.standard_normal())
    angle = 0.62
    dx, dy = p.x - 0.13 - 0.05 * findings.heart, p.y - 0.33
    along = math.cos(angle) * dx + math.sin(angle) * dy
    across = math.cos(angle) * dy - math.sin(angle) * dx
    u, v = along * (1 / (0.38 * size)), across * (1 / (0.28 * size))
    # A blunt apex: between an ellipse and a box, filling the corner towards the diaphragm.
    r = 0.6 * np.sqrt(u * u + v * v) + 0.4 * np.maximum(np.abs(u), np.abs(v))
    ventricle = _below((r - 1) * 0.28, 0.05)
    atrium = _ellipse(p, -0.05, 0.28, 0.17 * size, 0.30, 0.045)
    waist = _below(np.abs(p.x - 0.05) - 0.10 - 0.16 * (p.y + 0.45), 0.05) * _ridge(p.y, 0.45)
    return np.maximum(np.maximum(ventricle, atrium), 0.9 * waist)


def _mediastinum(p: _Plane, findings: Findings) -> np.ndarray:
    wide = 0.11 + 0.08 * findings.mediastinum
    band = _below(np.abs(p.x) - wide - 0.03 * np.maximum(p.y, 0), 0.03)
    knob = _ellipse(p, 0.10 + 0.05 * findings.mediastinum, -0.34, 0.08, 0.10, 0.03)
    hila = _ellipse(p, -0.19, 0.0, 0.08, 0.14, 0.07) + _ellipse(p, 0.20, -0.05, 0.08, 0.13, 0.07)
    return np.maximum(np.maximum(band, knob) * 0.92, 0.45 * hila)


def _opacities(
    air: np.ndarray, p: _Plane, texture: np.ndarray, f: Findings, rng: np.random.Generator
) -> np.ndarray:
    """Fill the lungs with oedema, consolidation, a nodule, plate-like bands of collapse."""
    fluffy = np.clip(1 + 0.22 * texture, 0.3, 1.6)
    x, y = f.consolidation_side * rng.uniform(0.36, 0.50), rng.uniform(-0.25, 0.35)
    node_x, node_y = rng.choice((-1, 1)) * rng.uniform(0.35, 0.55), rng.uniform(-0.5, 0.3)
    radius = f.lesion_radius
    if f.edema > 0:
        wings = np.exp(-((np.abs(p.x) - 0.30) ** 2 / 0.09 + (p.y - 0.05) ** 2 / 0.30))
        air = _fill(air, f.edema * (0.30 + 0.40 * wings) * fluffy)
    if f.consolidation > 0:
        if f.consolidation_place is not None:
            x, y = f.consolidation_side * f.consolidation_place[0], f.consolidation_place[1]
        a, b, soft = (f.consolidation_size * r for r in (0.26, 0.24, 0.16))
        air = _fill(air, 0.85 * f.consolidation * _ellipse(p, x, y, a, b, soft) * fluffy)
    if f.lesion > 0:
        air = _fill(air, 0.6 * f.lesion * _ellipse(p, node_x, node_y, radius, radius, 0.03))
    if f.atelectasis > 0:
        for height in (0.34, 0.43, 0.50):
            band = _ridge(p.y - height + 0.25 * np.abs(p.x), 0.022)
            air = _fill(air, 0.45 * f.atelectasis * band)
    return air


def _fill(air: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Replace a share of the air by tissue."""
    return air + np.clip(share, 0, 1) * (0.72 - air)


def _fluid(density: np.ndarray, p: _Plane, lungs: _Lungs, f: Findings) -> np.ndarray:
    """Pleural fluid fills the base and climbs at the chest wall: the meniscus."""
    for side, strength in ((-1, f.effusion_right), (1, f.effusion_left)):
        if strength > 0:
            level = 0.10 - 0.62 * strength - 0.30 * np.clip(p.x * side - 0.35, 0, 1)
            half = np.minimum(3 * (lungs.left if side == -1 else lungs.right), 1)
            density = _blend(density, half * _below(level - lungs.base, 0.07), 0.73)
    return density


def _free_air(density: np.ndarray, p: _Plane, lungs: _Lungs, f: Findings) -> np.ndarray:
    """Black rim without vessels beyond a thin white line, at the apex and the side."""
    u = p.x * f.pneumothorax_side
    edge = np.hypot((u - 0.26) / 0.40, (p.y - 0.10) / 0.72) - (1.0 - 0.30 * f.pneumothorax)
    half = lungs.left if f.pneumothorax_side == -1 else lungs.right
    outside = half * _below(-edge, 0.02)
    air = outside * (f.pneumothorax_density - density) * 0.8
    return density + air + 0.10 * half * _ridge(edge, 0.015)


def _devices(p: _Plane, f: Findings, rng: np.random.Generator, portable: bool) -> np.ndarray:
    """Tracheal tube, central line, pacemaker, and the wires and electrodes of monitoring."""
    extra = np.zeros_like(p.x)
    if f.tube:
        extra += 0.13 * _ridge(p.x + 0.01, 0.018) * _below(p.y + 0.34, 0.02)
        extra += 0.08 * _ridge(p.x - 0.03 - 0.10 * np.clip(p.y - 0.3, 0, 1), 0.014)
    if f.line:
        vein = -0.13 - 0.22 * np.clip(-p.y - 0.52, 0, 1) ** 0.5
        extra += 0.11 * _ridge(p.x - vein, 0.012) * _below(p.y + 0.02, 0.02)
    if f.pacemaker:
        extra += 0.35 * _ellipse(p, 0.52, -0.52, 0.11, 0.09, 0.02)
        lead = 0.10 + 0.42 * np.clip(-p.y - 0.05, 0, 0.5) ** 1.5 / 0.35
        extra += 0.14 * _ridge(p.x - lead, 0.014) * _below(np.abs(p.y + 0.02) - 0.46, 0.02)
    if portable:
        for right, down in ((-0.55, -0.35), (0.60, -0.30), (0.55, 0.45)):
            x = right + 0.05 * float(rng.standard_normal())
            y = down + 0.05 * float(rng.standard_normal())
            extra += 0.16 * _ellipse(p, x, y, 0.03, 0.03, 0.015)
            bend = rng.uniform(-0.5, 0.5)
            wire = p.x - x - bend * (p.y - y) - 0.15 * np.sin(2.5 * (p.y - y))
            extra += 0.06 * _ridge(wire, 0.010) * _below(y - p.y, 0.02)
    return extra


def _expose(
    density: np.ndarray, p: _Plane, rng: np.random.Generator, width: int, portable: bool
) -> np.ndarray:
    """Exposure, contrast, uneven beam, scatter noise and the side marker, as grey values."""
    beam = 0.03 * rng.standard_normal() * p.x + 0.03 * rng.standard_normal() * p.y
    gain, shift = 1.18 + 0.055 * rng.standard_normal(), 0.03 * rng.standard_normal()
    contrast = np.float32(1.05 + 0.06 * rng.standard_normal())
    film = 250 * np.clip(gain * density + shift + beam, 0, 1) ** contrast
    size = (width, round(density.shape[0] * width / density.shape[1]))
    soft = Image.fromarray(film.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = rng.integers(-5, 6, (size[1], size[0]), dtype=np.int16)
    grey = np.clip(np.asarray(soft) + grain, 0, 250).astype(np.uint8)
    _marker(grey, rng, portable)
    return grey


def _marker(grey: np.ndarray, rng: np.random.Generator, portable: bool) -> None:
    """A lead letter L near the upper image right, with a bar below it on portable films."""
    unit = max(grey.shape[1] // 90, 1)
    top, left = int(rng.integers(3, 12)) * unit, grey.shape[1] - int(rng.integers(9, 16)) * unit
    grey[top : top + 5 * unit, left : left + unit] = 250
    grey[top + 4 * unit : top + 5 * unit, left : left + 3 * unit] = 250
    if portable:
        grey[top + 7 * unit : top + 8 * unit, left - 4 * unit : left + 4 * unit] = 250
