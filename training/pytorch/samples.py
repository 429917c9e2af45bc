"""Shards of samples (crates/shapes/src/shard.rs) on a GPU, in their order, a window of them at a time."""

import io
import itertools
import json
import queue
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

STEPS = 30_000.0
DISTANCE_STEPS = 16_000.0
STEEPNESS = 50.0
PER_SHARD = 128
# Seconds without a new shard after which nobody makes them any more.
PATIENCE = 300
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def read_shard(path, side):
    """→ pictures `[samples, 3, side, side]` uint8 on white, points `[samples, points, 3]` and distances, int16."""
    data = path.read_bytes()
    if data[:8] != b"ORFSHARD" or struct.unpack_from("<I", data, 8)[0] != 1:
        raise ValueError(f"{path} is no shard of version 1")
    length = struct.unpack_from("<I", data, 12)[0]
    header = json.loads(data[16 : 16 + length])
    count, surface, at = header["points"], header["surface"], 16 + length
    pictures, points, distances = [], [], []
    for _ in header["samples"]:
        length = struct.unpack_from("<I", data, at)[0]
        picture = Image.open(io.BytesIO(data[at + 4 : at + 4 + length])).convert("RGBA")
        if picture.size != (side, side):
            raise ValueError(f"{path} has pictures of {picture.size}, not of {side}")
        ground = Image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture)
        pictures.append(np.asarray(ground.convert("RGB")).transpose(2, 0, 1))
        at += 4 + length
        points.append(np.frombuffer(data, "<i2", 3 * count, at).reshape(count, 3))
        distances.append(np.frombuffer(data, "<i2", count, at + 6 * count))
        at += 8 * count + 9 * surface
    return np.stack(pictures), np.stack(points), np.stack(distances)


class Samples:
    """Samples on the device, filled from shards as they are written by `orfeas-train data`, until it is left (`with`).

    Of `world` processes each keeps every `world`-th shard, and all draw alike from their own.
    """

    def __init__(self, folder, plan, step, side, device, rank=0, world=1):
        self.plan, self.device, self.rank, self.world = plan, device, rank, world
        begin, _ = self._window(step)
        self.end = begin // PER_SHARD * PER_SHARD
        self.size = (-(-plan["window"] // (world * PER_SHARD)) + 2) * PER_SHARD
        self.ring = None
        self.waited = 0.0
        self.ready = queue.Queue(16)
        self.pool = ThreadPoolExecutor(6)
        self.closed = threading.Event()
        # Without an end: how many steps there will be is known only while they run.
        shards = itertools.count(self.end // PER_SHARD)
        threading.Thread(target=self._read, args=(Path(folder), shards, side), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nobody waits for shards any more; the interpreter would at its end."""
        self.closed.set()
        self.pool.shutdown(wait=False, cancel_futures=True)

    def _window(self, step):
        """The samples that a step may choose from, counted in this process's own: from, and to before."""
        begin, end = window(self.plan, step)
        return begin // self.world, end // self.world

    def _read(self, folder, shards, side):
        def one(index):
            path = shard_path(folder, index * self.world + self.rank)
            while not path.exists():
                if self.closed.wait(0.05):
                    return None
            return read_shard(path, side)

        pending = []
        try:
            for index in shards:
                pending.append(self.pool.submit(one, index))
                if len(pending) == 12:
                    self.ready.put(pending.pop(0).result())
        except Exception as error:  # Whoever waits for samples is to hear of it.
            if not self.closed.is_set():
                self.ready.put(error)

    def batch(self, step):
        """A step's pictures `[batch, 3, side, side]`, points `[batch, points, 3]` and occupancy `[batch, points]`."""
        begin, end = self._window(step)
        while self.end < end:
            started = time.monotonic()
            try:
                read = self.ready.get(timeout=PATIENCE)
            except queue.Empty:
                raise SystemExit(f"no shard came for {PATIENCE} s: are samples being made?") from None
            if isinstance(read, Exception):
                raise read
            parts = [torch.from_numpy(part).to(self.device) for part in read]
            self.waited += time.monotonic() - started
            if self.ring is None:
                self.ring = [torch.empty((self.size, *part.shape[1:]), dtype=part.dtype, device=self.device) for part in parts]
            at = self.end % self.size
            for ring, part in zip(self.ring, parts):
                ring[at : at + part.shape[0]] = part
            self.end += PER_SHARD
        random = torch.Generator(self.device).manual_seed((self.plan["seed"] * 1_000_003 + step) * self.world + self.rank)
        draw = lambda high, *shape: torch.randint(high, shape, generator=random, device=self.device)
        batch, count = self.plan["batch"] // self.world, self.plan["points"]
        chosen = (begin + draw(end - begin, batch)) % self.size
        pictures, points, distances = (ring[chosen] for ring in self.ring)
        # Near the surface and anywhere take turns in a sample; so they do here.
        near = torch.arange(count, device=self.device) % 2
        index = 2 * draw(points.shape[1] // 2, batch, count) + near
        stored = points
        points = points.gather(1, index[..., None].expand(-1, -1, 3)).float() / STEPS
        occupancy = torch.sigmoid(-self.plan["steepness"] / DISTANCE_STEPS * distances.gather(1, index).float())
        # An object's mirror image is an object, and looks like its picture's.
        mirrored = draw(2, batch).bool()
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures).float() / 255.0
        points[..., 0] = torch.where(mirrored[:, None], -points[..., 0], points[..., 0])
        if self.plan["stretch"] > 0.0:
            normal = lambda *shape: torch.randn(shape, generator=random, device=self.device)
            pictures, points = moved(pictures, points, extents(stored, distances), self.plan["stretch"], normal)
        if self.plan["colours"]:
            pictures = recoloured(pictures, lambda: torch.rand(batch, 1, 1, 1, generator=random, device=self.device))
        return normalised(pictures), points, occupancy


def extents(points, distances):
    """Half the size of objects along each axis, about, `[batch, 3]`: points `[batch, points, 3]` as they are stored, and their distances."""
    near = distances < 0.01 * DISTANCE_STEPS
    return (points.abs() * near[..., None]).amax(1).float() / STEPS


def moved(pictures, points, size, stretch, normal):
    """Objects that are a little wider or taller, in pictures that were taken and cut out a little otherwise.

    A sample is learned from many times, and a picture that never changes is learned by heart. An object that is wider by some percent is
    another one, and seen from near the front its picture is as much wider. Both fill their frames again, as every object and picture does.
    `size` is the objects' half size along each axis, `[batch, 3]`.
    """
    batch = pictures.shape[0]
    wide, high = (stretch * normal(2, batch)).exp()
    scales = torch.stack([wide, high, torch.ones_like(wide)], 1)
    scales = scales * (size.amax(1) / (scales * size).amax(1))[:, None]
    dark = 1.0 - pictures
    # How far the picture of the object goes from its middle, to the sides, and up and down.
    away = torch.linspace(-1.0, 1.0, pictures.shape[-1], device=pictures.device).abs()
    shown = dark.amax(1) > 0.02
    across, along = (shown.any(1) * away).amax(1).clamp(min=0.05), (shown.any(2) * away).amax(1).clamp(min=0.05)
    fill = torch.maximum(across, along) / torch.maximum(wide * across, high * along) * (0.03 * normal(batch)).exp()
    roll, shift = 0.03 * normal(batch), 0.02 * normal(2, batch)
    cosine, sine = roll.cos(), roll.sin()
    # From a place in the new picture to the one in the old.
    places = torch.stack(
        [
            torch.stack([cosine / (wide * fill), sine / (wide * fill), shift[0]], 1),
            torch.stack([-sine / (high * fill), cosine / (high * fill), shift[1]], 1),
        ],
        1,
    )
    grid = torch.nn.functional.affine_grid(places, pictures.shape, align_corners=False)
    dark = torch.nn.functional.grid_sample(dark, grid, padding_mode="zeros", align_corners=False)
    return 1.0 - dark, points * scales[:, None]


def recoloured(pictures, rand):
    """Another light and other dyes: what is white stays white, so that the ground of a cut-out does."""
    dark = 1.0 - pictures
    gains = torch.cat([0.8 + 0.35 * rand() for _ in range(3)], 1)
    dark = dark.clamp(min=1e-6) ** torch.exp(0.6 * (rand() - 0.5)) * gains
    grey = dark.mean(1, keepdim=True)
    return 1.0 - torch.where(rand() < 0.08, grey, dark).clamp(0.0, 1.0)


def normalised(pictures):
    mean = torch.tensor(MEAN, device=pictures.device)[:, None, None]
    deviation = torch.tensor(DEVIATION, device=pictures.device)[:, None, None]
    return (pictures - mean) / deviation


def shard_path(folder, index):
    return folder / f"shard-{index:05}.bin"


def window(plan, step):
    """The samples that a step may choose from: from, and to before. It begins small, grows to `window`, then moves on."""
    end = plan["first"] + step * plan["batch"] // plan["reuse"]
    return max(end - plan["window"], 0), end


class Judged:
    """Objects that are not learned from, and how well they are predicted."""

    def __init__(self, folder, side, device):
        shards = [read_shard(path, side) for path in sorted(Path(folder).glob("shard-*.bin"))]
        self.device = device
        self.pictures, self.points, self.distances = (torch.from_numpy(np.concatenate(part)) for part in zip(*shards))

    @torch.no_grad()
    def score(self, logits_of, batch=64):
        """Mean over objects of the intersection over union, at the points that lie anywhere in the box."""
        scores = []
        for at in range(0, self.pictures.shape[0], batch):
            part = slice(at, at + batch)
            pictures = normalised(self.pictures[part].to(self.device).float() / 255.0)
            points = self.points[part, 1::2].to(self.device).float() / STEPS
            truth = self.distances[part, 1::2].to(self.device) < 0
            said = logits_of(pictures, points) > 0
            scores.append((truth & said).sum(1) / (truth | said).sum(1).clamp(min=1))
        return torch.cat(scores).mean().item()
