"""Writes quants.safetensors: blocks of every tensor type as the `gguf` package (gguf.quants) reads and writes them.

For each type T: `T.raw` are blocks of random bytes with finite scales (and blocks of all-zero and all-one bits beside
them), `T.values` what the package dequantizes them to. Where the package can quantize: `T.x` are values, of several
scales, and `T.quantized` their blocks. Run with: pip install gguf numpy safetensors; python tests/vectors/quants.py
"""

import pathlib

import numpy as np
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from safetensors.numpy import save_file

# Byte offsets of the half floats in a block; the other bytes may be anything.
HALVES = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "BF16": [], "F32": [],
}
QUANTIZED_BY_PACKAGE = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]


def finite_halves(rng, n):
    bits = rng.integers(0, 1 << 16, n, dtype=np.uint16)
    # An exponent of all ones is infinity or NaN.
    return np.where(bits & 0x7C00 == 0x7C00, bits & 0x83FF, bits)


def random_blocks(rng, name, n):
    _, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    raw = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if name in ("BF16", "F32"):
        # The exponent's low bit lies in the last byte but one.
        top = raw[:, -1]
        raw[:, -1] = np.where(top & 0x7F == 0x7F, top & 0x81, top)
    if size > 4:
        raw[0], raw[1] = 0, 255
    for at in HALVES[name]:
        raw[:, at : at + 2] = finite_halves(rng, n).view(np.uint8).reshape(n, 2)
    return raw


def sample_values(rng, n):
    x = rng.standard_normal((n, 32)).astype(np.float32)
    x *= np.exp2(rng.integers(-12, 6, (n, 1))).astype(np.float32)
    x[0] = 0.0
    x[1] = 0.75
    x[2] = -np.abs(x[2])
    return x.reshape(-1)


def main():
    rng = np.random.default_rng(20261121)
    tensors = {}
    for name in HALVES:
        ty = GGMLQuantizationType[name]
        length, _ = GGML_QUANT_SIZES[ty]
        n = {1: 512, 32: 32, 256: 12}[length]
        raw = random_blocks(rng, name, n)
        values = quants.dequantize(raw.reshape(-1), ty).astype(np.float32)
        assert np.isfinite(values).all(), name
        tensors[f"{name}.raw"] = raw.reshape(-1)
        tensors[f"{name}.values"] = values.reshape(-1)
        if name in QUANTIZED_BY_PACKAGE:
            x = sample_values(rng, 24)
            tensors[f"{name}.x"] = x
            tensors[f"{name}.quantized"] = quants.quantize(x, ty).view(np.uint8).reshape(-1)
    save_file(tensors, pathlib.Path(__file__).with_name("quants.safetensors"))


if __name__ == "__main__":
    main()
