#!/usr/bin/env python3
"""Writes a GGUF's `llama` model as ONNX, for onnxruntime-web: what an exporter makes, with nothing but onnx, gguf and numpy.

    python make_onnx.py MODEL.gguf OUT.onnx [--float]

Linears become MatMulNBits nodes of 4 bits in blocks of 32 (symmetric: the GGUF's numbers, rounded once more), attention
GroupQueryAttention with its rotary embedding and a cache that goes in and out, norms SimplifiedLayerNormalization: the
operators of the files that browsers download. With --float every matrix stays f32 in plain MatMul nodes. The embedding is f32 and
is the head too. Only the last row's logits are computed.
"""
import sys
from pathlib import Path

import gguf
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BLOCK = 32
MICROSOFT = "com.microsoft"


class Graph:
    """Nodes and initializers as they are added."""

    def __init__(self, reader, as_float):
        self.nodes, self.initializers = [], []
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.as_float = as_float

    def weights(self, name):
        tensor = self.tensors[name]
        return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)

    def constant(self, name, array):
        self.initializers.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def node(self, op, inputs, outputs, domain="", **attributes):
        self.nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def linear(self, name, x):
        w = self.weights(f"{name}.weight")
        if self.as_float:
            return self.node("MatMul", [x, self.constant(name, w.T)], [f"{name}.y"])
        rows, cols = w.shape
        blocks = w.reshape(rows, cols // BLOCK, BLOCK)
        scales = np.abs(blocks).max(axis=2) / 7 + 1e-12
        q = np.clip(np.round(blocks / scales[:, :, None]) + 8, 0, 15).astype(np.uint8)
        packed = q[:, :, 0::2] | (q[:, :, 1::2] << 4)
        inputs = [x, self.constant(f"{name}.q", packed), self.constant(f"{name}.s", scales.reshape(-1).astype(np.float32))]
        return self.node("MatMulNBits", inputs, [f"{name}.y"], MICROSOFT, K=cols, N=rows, bits=4, block_size=BLOCK,
                         accuracy_level=4)

    def norm(self, name, x, eps):
        gain = self.constant(name, self.weights(f"{name}.weight").reshape(-1))
        return self.node("SimplifiedLayerNormalization", [x, gain], [f"{name}.y"], epsilon=eps, axis=-1, stash_type=1)


def field(reader, key):
    value = reader.fields[key]
    return value.parts[value.data[0]][0]


def rotary(head_dim, base, context):
    angles = np.outer(np.arange(context), base ** (-np.arange(0, head_dim, 2) / head_dim))
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def build(reader, as_float):
    number = lambda key: field(reader, f"llama.{key}")
    layers, heads, kv_heads = (int(number(k)) for k in ("block_count", "attention.head_count", "attention.head_count_kv"))
    dim, eps = int(number("embedding_length")), float(number("attention.layer_norm_rms_epsilon"))
    head_dim = dim // heads
    g = Graph(reader, as_float)
    embedding = g.constant("embedding", g.weights("token_embd.weight"))
    cos, sin = rotary(head_dim, float(number("rope.freq_base")), 2048)
    caches = [g.constant("cos", cos), g.constant("sin", sin)]
    value = lambda name, ty, shape: helper.make_tensor_value_info(name, ty, shape)
    inputs = [value("tokens", TensorProto.INT64, [1, "rows"]), value("last_key", TensorProto.INT32, [1]),
              value("keys", TensorProto.INT32, [])]
    outputs = [value("logits", TensorProto.FLOAT, [1, len(g.weights("token_embd.weight"))])]
    h = g.node("Gather", [embedding, "tokens"], ["h"])
    for i in range(layers):
        name = f"blk.{i}"
        x = g.norm(f"{name}.attn_norm", h, eps)
        q, k, v = (g.linear(f"{name}.attn_{part}", x) for part in "qkv")
        past, present = ([f"{when}.{i}.{what}" for what in ("key", "value")] for when in ("past", "present"))
        for names, infos, rows in ((past, inputs, "before"), (present, outputs, "after")):
            infos += [value(n, TensorProto.FLOAT, [1, kv_heads, rows, head_dim]) for n in names]
        # GGUF's q and k of `llama` are in the order of neighbouring pairs.
        attention = g.node("GroupQueryAttention", [q, k, v, *past, "last_key", "keys", *caches], [f"{name}.attn", *present],
                           MICROSOFT, num_heads=heads, kv_num_heads=kv_heads, do_rotary=1, rotary_interleaved=1)
        h = g.node("Add", [h, g.linear(f"{name}.attn_output", attention)], [f"{name}.mid"])
        x = g.norm(f"{name}.ffn_norm", h, eps)
        gate, up = (g.linear(f"{name}.ffn_{part}", x) for part in ("gate", "up"))
        sigmoid = g.node("Sigmoid", [gate], [f"{name}.sigmoid"])
        silu = g.node("Mul", [gate, sigmoid], [f"{name}.silu"])
        act = g.node("Mul", [silu, up], [f"{name}.act"])
        h = g.node("Add", [h, g.linear(f"{name}.ffn_down", act)], [f"{name}.out"])
    last = g.node("Gather", [h, g.constant("minus_one", np.array(-1, np.int64))], ["last"], axis=1)
    last = g.norm("output_norm", last, eps)
    head(g, last, embedding)
    graph = helper.make_graph(g.nodes, "llama", inputs, outputs, g.initializers)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="apprentice-bench")


def head(g, last, embedding):
    """The vocabulary's matrix is the embedding; in 4 bits where the linears are."""
    if g.as_float:
        return g.node("Gemm", [last, embedding], ["logits"], transB=1)
    y = g.linear("token_embd", last)
    return g.node("Identity", [y], ["logits"])


def main():
    arguments = [a for a in sys.argv[1:] if a != "--float"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    source, out = arguments
    reader = gguf.GGUFReader(source)
    model = build(reader, "--float" in sys.argv)
    Path(out).write_bytes(model.SerializeToString())
    print(f"{out}: {Path(out).stat().st_size / 1e6:.0f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
