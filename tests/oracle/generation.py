"""The generation file (model/generation.h)."""

import dataclasses
import json
import struct

import numpy as np


@dataclasses.dataclass
class Generation:
    """One generation file (model/generation.h)."""

    manifest: dict
    ids: list
    factors: np.ndarray  # [items, rank], float64


def read_generation(path):
    data = path.read_bytes()
    assert data[:8] == b"FRESHGEN", "magic"
    version, order = struct.unpack_from("<II", data, 8)
    assert (version, order) == (1, 0x01020304), "version and byte order"
    size, items, rank, stride, manifest_at, manifest_bytes, ids_at, factors_at = struct.unpack_from(
        "<QQIIQQQQ", data, 24
    )
    assert size == len(data), "length"
    assert factors_at % 64 == 0, "factors on a 64-byte boundary"
    begin = np.frombuffer(data, "<u4", items + 1, ids_at).astype(int) + ids_at + 4 * (items + 1)
    ids = [data[begin[i] : begin[i + 1]].decode() for i in range(items)]
    encoded = [item.encode() for item in ids]
    assert all(a < b for a, b in zip(encoded, encoded[1:])), "ids in strict byte order"
    padded = np.frombuffer(data, "<f4", items * stride, factors_at).reshape(items, stride)
    assert np.isfinite(padded).all() and not padded[:, rank:].any(), "finite, zero beyond rank"
    manifest = json.loads(data[manifest_at : manifest_at + manifest_bytes])
    return Generation(manifest, ids, padded[:, :rank].astype(np.float64))


def live_generation(dump, state_dir, key=0):
    """The generation of a series that the dump says is live, or None."""
    named = f"{key:016x}"
    numbers = [series["generation"] for series in dump.state["series"] if series["key"] == named]
    if not numbers or not numbers[0]:
        return None
    folder = state_dir / "generations"
    generation = read_generation((folder / named if key else folder) / f"{numbers[0]:08d}.gen")
    assert generation.manifest["number"] == numbers[0]
    return generation
