"""Shards of samples (crates/shapes/src/shard.rs) on a GPU, in their order, a window of them at a time."""

import io
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
        rgba = np.asarray(picture, dtype=np.float32)
        alpha = rgba[..., 3:] / 255.0
        pictures.append((rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)).round().astype(np.uint8).transpose(2, 0, 1))
        at += 4 + length
        points.append(np.frombuffer(data, "<i2", 3 * count, at).reshape(count, 3))
        distances.append(np.frombuffer(data, "<i2", count, at + 6 * count))
        at += 8 * count + 9 * surface
    return np.stack(pictures), np.stack(points), np.stack(distances)


class Samples:
    """A ring of the window's samples on the device, filled from shards as they are written by `orfeas-train data`."""

    def __init__(self, folder, plan, step, side, device):
        self.plan, self.device, self.side = plan, device, side
        self.first = window_begin(plan, step) // PER_SHARD
        self.size = -(-(plan["window"] + 2 * PER_SHARD) // PER_SHARD) * PER_SHARD
        self.ring = None
        self.end = self.first * PER_SHARD
        self.waited = 0.0
        self.ready = queue.Queue(16)
        self.pool = ThreadPoolExecutor(6)
        last = -(-(window_begin(plan, plan["steps"]) + plan["window"]) // PER_SHARD)
        self.thread = threading.Thread(target=self._read, args=(Path(folder), range(self.first, last)), daemon=True)
        self.thread.start()

    def _read(self, folder, shards):
        def one(index):
            path = folder / f"shard-{index:05}.bin"
            while not path.exists():
                time.sleep(0.05)
            return read_shard(path, self.side)

        pending = []
        for index in shards:
            pending.append(self.pool.submit(one, index))
            if len(pending) == 12:
                self.ready.put(pending.pop(0).result())
        for future in pending:
            self.ready.put(future.result())

    def batch(self, step):
        """A step's pictures `[batch, 3, side, side]`, points `[batch, points, 3]` and occupancy `[batch, points]`."""
        begin, window = window_begin(self.plan, step), self.plan["window"]
        while self.end < begin + window:
            started = time.monotonic()
            parts = [torch.from_numpy(part).to(self.device) for part in self.ready.get()]
            self.waited += time.monotonic() - started
            if self.ring is None:
                self.ring = [torch.empty((self.size, *part.shape[1:]), dtype=part.dtype, device=self.device) for part in parts]
            at = self.end % self.size
            for ring, part in zip(self.ring, parts):
                ring[at : at + part.shape[0]] = part
            self.end += PER_SHARD
        random = torch.Generator(self.device).manual_seed(self.plan["seed"] * 1_000_003 + step)
        draw = lambda high, *shape: torch.randint(high, shape, generator=random, device=self.device)
        batch, count = self.plan["batch"], self.plan["points"]
        chosen = (begin + draw(window, batch)) % self.size
        pictures, points, distances = (ring[chosen] for ring in self.ring)
        # Near the surface and anywhere take turns in a sample; so they do here.
        near = torch.arange(count, device=self.device) % 2
        index = 2 * draw(points.shape[1] // 2, batch, count) + near
        points = points.gather(1, index[..., None].expand(-1, -1, 3)).float() / STEPS
        occupancy = torch.sigmoid(-STEEPNESS / DISTANCE_STEPS * distances.gather(1, index).float())
        # An object's mirror image is an object, and looks like its picture's.
        mirrored = draw(2, batch).bool()
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures).float() / 255.0
        points[..., 0] = torch.where(mirrored[:, None], -points[..., 0], points[..., 0])
        mean = torch.tensor(MEAN, device=self.device)[:, None, None]
        deviation = torch.tensor(DEVIATION, device=self.device)[:, None, None]
        return (pictures - mean) / deviation, points, occupancy


def window_begin(plan, step):
    """The first sample that a step may choose; the window follows it."""
    return step * plan["batch"] // plan["reuse"]
