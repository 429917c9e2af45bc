"""Draws the demo pictures again: pip install numpy pillow, then python draw.py (about eight minutes).

elephant.jpg  a glazed toy elephant on a seamless studio backdrop: soft shadow, gradient, sensor noise, no alpha. Its
              tail is a handle (a true hole), its trunk and tusk are thin.
fox.png       a wooden fox cut-out, RGBA, with holes and thin limbs: the picture's own alpha is the shape.

The elephant is a signed distance field, ray-marched. Units: the elephant is about 2.6 long; y is up.
"""
import os
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

here = os.path.dirname(os.path.abspath(__file__))
F = np.float32
v = lambda *a: np.array(a, F)
norm = lambda p: np.sqrt((p * p).sum(-1))
unit = lambda p: p / np.maximum(norm(p)[..., None], 1e-9)


def ellipsoid(p, c, r):
    q = p - v(*c)
    k0, k1 = norm(q / v(*r)), norm(q / (v(*r) ** 2))
    return k0 * (k0 - 1) / np.maximum(k1, 1e-6)


def cone(p, a, b, ra, rb):
    """A capsule whose radius goes from ra to rb."""
    a, b = v(*a), v(*b)
    pa, ba = p - a, b - a
    h = np.clip((pa @ ba) / (ba @ ba), 0, 1)
    return norm(pa - h[..., None] * ba) - (ra + (rb - ra) * h)


def smooth(a, b, k):
    h = np.clip(0.5 + 0.5 * (b - a) / k, 0, 1)
    return b + (a - b) * h - k * h * (1 - h)


def chain(points, radii):
    """A bent tube through points (Catmull-Rom)."""
    points = np.array(points, F)
    ends = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    out = []
    for i in range(len(points) - 1):
        p0, p1, p2, p3 = ends[i : i + 4]
        for t in np.linspace(0, 1, 9)[: (9 if i == len(points) - 2 else 8)]:
            out.append((0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3), np.interp(i + t, range(len(radii)), radii)))
    return out


TRUNK = chain([(0.98, 1.16, 0), (1.40, 0.98, 0), (1.58, 1.22, 0), (1.60, 1.58, 0), (1.80, 1.80, 0)], (0.25, 0.18, 0.135, 0.115, 0.125))
TAIL = chain([(-0.92, 1.18, 0), (-1.32, 1.34, 0), (-1.62, 1.10, 0), (-1.55, 0.70, 0), (-1.20, 0.50, 0), (-0.86, 0.56, 0)], (0.11, 0.085, 0.08, 0.08, 0.085, 0.11))


def tube(p, chain):
    d = np.full(p.shape[:-1], 9, F)
    for (a, ra), (b, rb) in zip(chain, chain[1:]):
        d = np.minimum(d, cone(p, a, b, ra, rb))
    return d


def scene(p):
    """Distance and material: 0 glaze, 1 cream, 2 black, of a field mirrored in z where the animal is."""
    m = np.stack([p[..., 0], p[..., 1], np.abs(p[..., 2])], -1)
    d = ellipsoid(p, (-0.12, 0.92, 0), (0.98, 0.66, 0.62))
    d = smooth(d, ellipsoid(p, (0.86, 1.30, 0), (0.46, 0.46, 0.42)), 0.16)
    for x in (-0.62, 0.42):
        d = smooth(d, cone(m, (x, 0.62, 0.30), (x + 0.02, 0.20, 0.33), 0.25, 0.20), 0.08)
    d = smooth(d, tube(p, TRUNK), 0.09)
    d = smooth(d, tube(p, TAIL), 0.05)
    ear = smooth(ellipsoid(m, (0.52, 1.28, 0.50), (0.36, 0.42, 0.075)), ellipsoid(m, (0.42, 1.02, 0.52), (0.22, 0.28, 0.07)), 0.12)
    d = smooth(d, ear, 0.05)
    material = np.zeros(d.shape, np.int8)

    def put(part, kind):
        nonlocal d
        material[part < d] = kind
        d = np.minimum(d, part)

    put(smooth(ellipsoid(m, (0.53, 1.27, 0.555), (0.25, 0.31, 0.045)), ellipsoid(m, (0.44, 1.02, 0.57), (0.14, 0.19, 0.045)), 0.1), 1)
    for x in (-0.60, 0.44):
        for t in (-0.10, 0.0, 0.10):
            put(ellipsoid(m, (x + 0.13 - abs(t) * 0.5, 0.07, 0.35 + t * 1.6), (0.085, 0.075, 0.075)), 1)
    put(cone(m, (1.08, 1.06, 0.20), (1.36, 0.80, 0.27), 0.07, 0.028), 1)
    put(ellipsoid(m, (1.13, 1.42, 0.315), (0.062, 0.075, 0.05)), 2)
    blanket = np.maximum(ellipsoid(p, (-0.12, 0.92, 0), (1.005, 0.685, 0.645)), np.maximum(np.abs(p[..., 0] + 0.20) - 0.36, 0.86 - p[..., 1]))
    put(blanket, 3)
    # Feet are cut flat on the floor.
    return np.maximum(d, -p[..., 1]), material


def march(origin, direction, far=12.0, steps=90):
    t = np.zeros(direction.shape[0], F)
    live = np.arange(direction.shape[0])
    # Only rays near the bounding sphere are followed.
    oc = v(0.05, 0.95, 0) - origin
    along = (direction * oc).sum(-1)
    miss = (oc * oc).sum(-1) - along**2 > 2.15**2
    live = live[~miss]
    o = np.broadcast_to(origin, direction.shape)
    t[:] = np.maximum(along - 2.2, 0)
    hit = np.zeros(t.shape, bool)
    for _ in range(steps):
        if not live.size:
            break
        d, _m = scene(o[live] + direction[live] * t[live, None])
        t[live] += d * 0.9
        done = d < 4e-4
        hit[live[done]] = True
        live = live[~done & (t[live] < far)]
    return t, hit


def normals(p):
    e = 6e-4
    k = [v(1, -1, -1), v(-1, -1, 1), v(-1, 1, -1), v(1, 1, 1)]
    return unit(sum(scene(p + e * q)[0][:, None] * q for q in k))


def soft_shadow(p, light, sharpness):
    """Share of a broad light that reaches p: the nearest miss on the way decides."""
    s, t = np.ones(p.shape[0], F), np.full(p.shape[0], 0.03, F)
    for _ in range(34):
        d, _m = scene(p + light * t[:, None])
        s = np.minimum(s, 0.5 + 0.5 * sharpness * d / t)
        t += np.clip(d, 0.03, 0.25)
    s = np.clip(s, 0, 1)
    return s * s * (3 - 2 * s)


def occlusion(p, n):
    return np.clip(1 - 1.3 * sum((h - scene(p + n * h)[0]) * 0.75**i for i, h in enumerate((0.05, 0.14, 0.28, 0.5))), 0.12, 1)


def backdrop(u, w):
    """Linear RGB of the sweep: warm grey, lighter in the middle, darker towards the upper corners."""
    light = 0.62 + 0.13 * np.exp(-((u - 0.05) ** 2 + (w + 0.15) ** 2) / 0.9) - 0.10 * (w + 0.3) - 0.03 * u
    return light[:, None] * v(1.0, 0.965, 0.915)


KEY, FILL, RIM = unit(v(-0.45, 1.0, 0.75)), unit(v(0.9, 0.45, 0.6)), unit(v(0.3, 0.5, -1.0))
ALBEDO = np.array([(0.05, 0.30, 0.34), (0.83, 0.72, 0.55), (0.012, 0.011, 0.012), (0.72, 0.17, 0.06)], F)


def softbox(r):
    """What the glaze mirrors: a bright window of the key light, a dimmer strip, the pale room."""
    window = np.clip((r @ KEY - 0.955) / 0.02, 0, 1)
    strip = np.clip((r @ FILL - 0.972) / 0.015, 0, 1)
    return (0.30 + 0.30 * np.clip(r[:, 1], -0.6, 1))[:, None] + 3.2 * window[:, None] + 1.3 * strip[:, None]


def render(side):
    eye, target = v(0.9, 1.75, 7.4), v(0.10, 0.93, 0)
    forward = unit(target - eye)
    right = unit(np.cross(forward, v(0, 1, 0)))
    up = np.cross(right, forward)
    picture = np.zeros((side * side, 3), F)
    c = ((np.arange(side) + 0.5) / side * 2 - 1).astype(F)
    for rows in np.array_split(np.arange(side), max(1, side // 64)):
        U, W = np.meshgrid(c, -c[rows])
        U, W = U.ravel(), W.ravel()
        ray = unit(forward + 0.272 * (U[:, None] * right + W[:, None] * up))
        colour = backdrop(U, W)
        # The floor takes the shadow and nothing else: the sweep has no visible edge.
        t = -eye[1] / np.minimum(ray[:, 1], -1e-3)
        p = eye + ray * t[:, None]
        near = (ray[:, 1] < -0.02) & (norm(p - v(0, 0, 0)) < 4.2)
        if near.any():
            q = p[near]
            s = 0.42 + 0.58 * soft_shadow(q, KEY, 3.2)
            fade = np.clip((4.2 - norm(q)) / 1.6, 0, 1)
            ao = occlusion(q, np.broadcast_to(v(0, 1, 0), q.shape))
            colour[near] *= (1 - fade * (1 - s * (0.35 + 0.65 * ao)))[:, None]
        t, hit = march(eye, ray)
        if hit.any():
            p, r = eye + ray[hit] * t[hit, None], ray[hit]
            n, material = normals(p), scene(p)[1]
            albedo = ALBEDO[material]
            ao = occlusion(p, n)[:, None]
            key = (np.clip(n @ KEY, 0, 1) * (0.25 + 0.75 * soft_shadow(p + n * 0.01, KEY, 6)))[:, None]
            fill = np.clip(n @ FILL, 0, 1)[:, None]
            sky = (0.5 + 0.5 * n[:, 1:2])
            bounce = np.clip(-n[:, 1:2], 0, 1) * v(0.30, 0.28, 0.25)
            body = albedo * (1.15 * key + 0.38 * fill + ao * (0.34 * sky + bounce + 0.10))
            mirror = r - 2 * (r * n).sum(-1)[:, None] * n
            fresnel = 0.04 + 0.96 * (1 - np.clip(-(r * n).sum(-1), 0, 1))[:, None] ** 5
            gloss = np.where(material == 3, 0.25, 1.0)[:, None].astype(F)
            colour[hit] = body * (1 - fresnel) + gloss * fresnel * softbox(mirror) * (0.35 + 0.65 * ao)
        picture[rows[0] * side : (rows[-1] + 1) * side] = colour
    return picture.reshape(side, side, 3)


def elephant(size=1024, oversampled=2):
    linear = render(size * oversampled)
    linear = linear.reshape(size, oversampled, size, oversampled, 3).mean((1, 3))
    rng = np.random.default_rng(4)
    # Photon noise, which grows with the light, and a little read noise; the lens softens both.
    linear = linear + rng.normal(size=linear.shape) * (0.010 * np.sqrt(np.maximum(linear, 0)) + 0.0015)
    tone = np.clip(linear, 0, None)
    tone = np.where(tone < 0.8, tone, 0.8 + 0.2 * (1 - np.exp(-(tone - 0.8) / 0.2)))
    srgb = np.where(tone <= 0.0031308, 12.92 * tone, 1.055 * np.maximum(tone, 1e-6) ** (1 / 2.4) - 0.055)
    image = Image.fromarray((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.55))
    image.save(f"{here}/elephant.jpg", quality=90, optimize=True)


def fox(size=512, oversampled=4):
    """A trotting fox of plywood, with a star-shaped hole, an eye and the gaps between its legs."""
    s = size * oversampled
    mask = Image.new("L", (s, s), 0)
    draw = ImageDraw.Draw(mask)
    scale = lambda points: [(x * s / 100, y * s / 100) for x, y in points]
    curve = lambda points: scale([tuple(p) for p, _r in chain([(x, y, 0) for x, y in points], [1] * len(points)) for p in [p[:2]]])
    draw.polygon(curve([(24, 46), (34, 43), (48, 45), (60, 42), (68, 37), (70, 47), (68, 58), (62, 62), (48, 60), (36, 62), (26, 60), (22, 53)]), fill=255)
    draw.polygon(curve([(28, 47), (20, 44), (12, 36), (8, 24), (5, 20), (6, 34), (10, 46), (17, 54), (26, 57)]), fill=255)
    draw.polygon(scale([(62, 44), (65, 33), (66, 20), (72, 28), (77, 28), (82, 20), (83, 33), (95, 44), (94, 47), (84, 48), (76, 52), (68, 54)]), fill=255)
    for leg in ([(60, 58), (66, 70), (73, 78), (79, 84)], [(58, 58), (57, 72), (53, 80), (56, 88)], [(31, 58), (35, 70), (29, 78), (32, 88)], [(28, 56), (24, 68), (16, 75), (13, 84)]):
        c = [(p[0], p[1], r) for p, r in chain([(x, y, 0) for x, y in leg], (5.0, 3.0, 1.8, 1.5))]
        for (x0, y0, r0), (x1, y1, r1) in zip(c, c[1:]):
            for f in np.linspace(0, 1, 14):
                x, y, r = x0 + (x1 - x0) * f, y0 + (y1 - y0) * f, r0 + (r1 - r0) * f
                draw.ellipse(scale([(x - r, y - r), (x + r, y + r)]), fill=255)
        x, y = leg[-1]
        draw.ellipse(scale([(x - 1.5, y - 1.5), (x + 4, y + 1.5)]), fill=255)
    star = [(46 + (4.6 if i % 2 == 0 else 2.0) * np.sin(i * np.pi / 5), 52 - (4.6 if i % 2 == 0 else 2.0) * np.cos(i * np.pi / 5)) for i in range(10)]
    draw.polygon(scale(star), fill=0)
    draw.ellipse(scale([(77.2, 36.6), (80.2, 39.6)]), fill=0)
    alpha = np.asarray(mask.resize((size, size), Image.BOX), F) / 255
    # Plywood: rings along the grain, a bevel at the edge.
    y, x = np.mgrid[0:size, 0:size].astype(F) / size
    grain = np.sin(90 * (y + 0.05 * np.sin(5 * x + 1) + 0.012 * np.sin(17 * x))) * 0.5 + np.sin(310 * y + 9 * np.sin(4 * x)) * 0.2
    inside = np.asarray(mask.resize((size, size), Image.BOX).filter(ImageFilter.GaussianBlur(4)), F) / 255
    gy, gx = np.gradient(inside)
    light = 1 + np.clip(-(gx * 0.7 + gy) * 5.5, -0.45, 0.35) + grain * 0.055
    colour = np.clip(v(214, 132, 62) * light[..., None], 0, 255)
    Image.fromarray(np.dstack([colour, alpha * 255 + 0.5]).astype(np.uint8), "RGBA").save(f"{here}/fox.png", optimize=True)


if __name__ == "__main__":
    import sys
    fox()
    elephant(*(int(a) for a in sys.argv[1:]))
