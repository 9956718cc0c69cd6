"""Writes the seed files of `fuzz/corpus/`: small GGUFs, tokenizers and adapters, and each way in which they can lie.

The names say what a reader must do: files that begin with `good` are read, all others are refused. The tests in
`tests/it/fuzz.rs` start from the same files. Run with: python fuzz/corpus.py (no package is needed).
"""

import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).with_name("corpus")
U8, I32, U32, F32, BOOL, STRING, ARRAY, U64 = 0, 5, 4, 6, 7, 8, 9, 10
BIG = (1 << 64) - 1


def text(value):
    raw = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(raw)) + raw


def array(kind, items, count=None):
    count = len(items) if count is None else count
    return struct.pack("<IQ", kind, count) + b"".join(items)


def key(name, kind, payload):
    return text(name) + struct.pack("<I", kind) + payload


def tensor(name, shape, kind, offset):
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(keys, tensors, data=b"", n_keys=None, n_tensors=None, version=3, alignment=32):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if n_tensors is None else n_tensors,
                                 len(keys) if n_keys is None else n_keys)
    head += b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data


ARCH = key("general.architecture", STRING, text("llama"))
SHAPE = [key(f"llama.{name}", U32, struct.pack("<I", value)) for name, value in [
    ("block_count", 1), ("embedding_length", 32), ("feed_forward_length", 32), ("context_length", 64),
    ("attention.head_count", 2), ("attention.head_count_kv", 1)]]
EPS = key("llama.attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5))
KEYS = [ARCH, *SHAPE, EPS, key("list", ARRAY, array(STRING, [text("a"), text(""), text("ü")])),
        key("numbers", ARRAY, array(I32, [struct.pack("<i", -3)] * 3)), key("flag", BOOL, b"\1"),
        key("large", U64, struct.pack("<Q", 1 << 40))]
QWEN3 = [entry.replace(text("llama"), text("qwen3")).replace(b"llama.", b"qwen3.") for entry in KEYS]
QWEN3_WIDTH = key("qwen3.attention.key_length", U64, struct.pack("<Q", 1 << 63))
PAIR = [tensor("token_embd.weight", [32, 2], 0, 0), tensor("blk.0.ffn_down.weight", [256, 1], 12, 256)]
DATA = bytes(256 + 144)


def with_key(name, kind, payload):
    return gguf([*KEYS, key(name, kind, payload)], PAIR, DATA)


def with_pair(first, second):
    return gguf(KEYS, [first, second], DATA)


def gguf_files():
    yield "good", gguf(KEYS, PAIR, DATA)
    yield "good-version-2", gguf(KEYS, PAIR, DATA, version=2)
    yield "good-empty", gguf([], [])
    yield "good-qwen3-wide-heads", gguf([*QWEN3, QWEN3_WIDTH], PAIR, DATA)
    yield "nothing", b""
    yield "cut-in-data", gguf(KEYS, PAIR, DATA)[:-8]
    yield "many-tensors", gguf(KEYS, PAIR, DATA, n_tensors=BIG)
    yield "many-keys", gguf(KEYS, PAIR, DATA, n_keys=BIG)
    yield "more-tensors-than-there-are", gguf(KEYS, PAIR, DATA, n_tensors=60_000)
    yield "name-not-utf8", with_pair(tensor(b"\xff\xfe.weight", [32, 2], 0, 0), PAIR[1])
    yield "key-not-utf8", with_key(b"\xc3\x28", BOOL, b"\0")
    yield "text-not-utf8", with_key("text", STRING, text(b"\xed\xa0\x80"))
    yield "text-too-long", with_key("text", STRING, struct.pack("<Q", BIG))
    yield "list-too-long", with_key("list2", ARRAY, array(STRING, [], BIG))
    yield "list-too-long-by-overflow", with_key("list2", ARRAY, array(U64, [], (1 << 61) + 1))
    yield "list-of-lists", with_key("list2", ARRAY, array(ARRAY, [array(U8, [])], 1))
    yield "type-unknown", with_key("what", 77, b"")
    yield "alignment-0", with_key("general.alignment", U32, struct.pack("<I", 0))
    yield "alignment-3", with_key("general.alignment", U32, struct.pack("<I", 3))
    yield "alignment-huge", with_key("general.alignment", U64, struct.pack("<Q", 1 << 63))
    yield "shape-overflows", with_pair(tensor("token_embd.weight", [1 << 33, 1 << 33], 0, 0), PAIR[1])
    yield "shape-overflows-in-bytes", with_pair(tensor("token_embd.weight", [1 << 62, 2], 0, 0), PAIR[1])
    yield "shape-zero", with_pair(tensor("token_embd.weight", [32, 0], 0, 0), PAIR[1])
    yield "no-dimensions", with_pair(tensor("token_embd.weight", [], 0, 0), PAIR[1])
    yield "five-dimensions", with_pair(tensor("token_embd.weight", [32, 1, 1, 1, 1], 0, 0), PAIR[1])
    yield "part-of-a-block", with_pair(PAIR[0], tensor("blk.0.ffn_down.weight", [128, 2], 12, 256))
    yield "offset-overflows", with_pair(PAIR[0], tensor("blk.0.ffn_down.weight", [256, 1], 12, BIG - 31))
    yield "offset-outside", with_pair(PAIR[0], tensor("blk.0.ffn_down.weight", [256, 1], 12, 1 << 40))
    yield "overlap", with_pair(PAIR[0], tensor("blk.0.ffn_down.weight", [256, 1], 12, 224))
    yield "overlap-whole", with_pair(PAIR[0], tensor("blk.0.ffn_up.weight", [32, 2], 0, 0))
    yield "name-twice", with_pair(PAIR[0], tensor("token_embd.weight", [256, 1], 12, 256))
    yield "key-twice", gguf([*KEYS, ARCH], PAIR, DATA)


BYTES = [chr(b) for b in [*range(33, 127), *range(161, 173), *range(174, 256)]]
BYTES += [chr(256 + i) for i in range(256 - len(BYTES))]
TOKENS = [*BYTES, "th", "the", "<|im_start|>", "<|im_end|>"]
TYPES = [1] * (len(TOKENS) - 2) + [3, 3]
TEMPLATE = "{% for m in messages %}{{ m['role'] + m['content'].strip() }}{% endfor %}"


def vocabulary(tokens=TOKENS, types=TYPES, merges=("t h", "th e"), eos=len(TOKENS) - 1, pre="smollm",
               template=TEMPLATE, model="gpt2", scores=None):
    strings = lambda items: array(STRING, [text(item) for item in items])
    keys = [ARCH, key("tokenizer.ggml.model", STRING, text(model)), key("tokenizer.ggml.pre", STRING, text(pre)),
            key("tokenizer.ggml.tokens", ARRAY, strings(tokens)),
            key("tokenizer.ggml.merges", ARRAY, strings(merges)),
            key("tokenizer.ggml.token_type", ARRAY, array(I32, [struct.pack("<i", t) for t in types])),
            key("tokenizer.chat_template", STRING, text(template))]
    if scores is not None:
        keys.append(key("tokenizer.ggml.scores", ARRAY, array(F32, [struct.pack("<f", s) for s in scores])))
    if eos is not None:
        keys.append(key("tokenizer.ggml.eos_token_id", U32, struct.pack("<I", eos)))
    return gguf(keys, [])


PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "\u2581", "t", "h", "e", "th", "\u2581the"]
PIECE_TYPES = [2, 3, 3, *[6] * 256, *[1] * 6]


def pieces(tokens=PIECES, types=PIECE_TYPES, scores=None, eos=2):
    scores = [-float(i) for i in range(len(tokens))] if scores is None else scores
    return vocabulary(tokens=tokens, types=types, merges=[], eos=eos, model="llama", scores=scores)


def tokenizer_files():
    yield "good", vocabulary()
    yield "good-llama-bpe", vocabulary(pre="llama-bpe")
    yield "good-types-too-few", vocabulary(types=[1])
    yield "good-template-broken", vocabulary(template="{% for %}")
    yield "good-tokens-alike", vocabulary(tokens=[*TOKENS[:-1], "the", "<|im_end|>"], eos=len(TOKENS))
    yield "good-pieces", pieces()
    yield "good-pieces-without-bytes", pieces(tokens=["</s>", "t", "h", "th"], types=[3, 1, 1, 1], eos=0)
    false = ["</s>", "<0xZZ>", "<0x", "<0x\u00fc>", "<0x+1>"]
    yield "good-pieces-false-bytes", pieces(tokens=false, types=[3, 6, 6, 6, 6], eos=0)
    odd = [float("nan"), float("inf"), -float("inf")] * len(PIECES)
    yield "good-pieces-odd-scores", pieces(scores=odd[: len(PIECES)])
    yield "pieces-without-a-score", pieces(scores=[0.0] * (len(PIECES) - 1))
    yield "pieces-without-a-type", pieces(types=PIECE_TYPES[1:])
    yield "no-tokens", vocabulary(tokens=[], types=[], merges=[], eos=None)
    yield "no-tokens-but-an-end", vocabulary(tokens=[], types=[], merges=[], eos=0)
    yield "no-tokens-but-merges", vocabulary(tokens=[], types=[], eos=None)
    yield "end-outside", vocabulary(eos=len(TOKENS))
    yield "end-far-outside", vocabulary(eos=(1 << 32) - 1)
    yield "merge-of-unknown", vocabulary(merges=["q q"])
    yield "merge-of-one", vocabulary(merges=["th"])
    yield "merge-of-nothing", vocabulary(merges=[" "])
    yield "model-unknown", vocabulary(model="spm?")
    yield "cuts-unknown", vocabulary(pre="nobody")


CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none",
          "base_model_name_or_path": "x"}
NAME = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"


def adapter(config=CONFIG, entries=None, data=bytes(4 * 28), header=None, length=None):
    entries = entries or {NAME.format(0, "A"): ("F32", [2, 8], [0, 64]),
                          NAME.format(0, "B"): ("F32", [6, 2], [64, 112])}
    named = {name: dict(dtype=d, shape=s, data_offsets=o) for name, (d, s, o) in entries.items()}
    header = json.dumps(named).encode() if header is None else header
    header += b" " * (-len(header) % 8)
    weights = struct.pack("<Q", len(header) if length is None else length) + header + data
    config = config if isinstance(config, bytes) else json.dumps(config).encode()
    return struct.pack("<I", len(config)) + config + weights


def adapter_files():
    a, b = NAME.format(0, "A"), NAME.format(0, "B")
    yield "good", adapter()
    yield "good-bf16", adapter(entries={a: ("BF16", [2, 8], [0, 32]), b: ("F16", [6, 2], [32, 56])}, data=bytes(56))
    yield "config-no-json", adapter(config=b"{")
    yield "config-no-object", adapter(config=b"[[[]]]")
    yield "config-deep", adapter(config=b"[" * 4000)
    yield "rank-huge", adapter(config={**CONFIG, "r": BIG})
    yield "rank-other", adapter(config={**CONFIG, "r": 3})
    yield "header-too-long", adapter(length=BIG)
    yield "header-longer-than-file", adapter(length=1 << 26)
    yield "header-empty", adapter(header=b"")
    yield "header-not-utf8", adapter(header=b'{"\xff":1}')
    yield "shape-overflows", adapter(entries={a: ("F32", [1 << 62, 8], [0, 64]), b: ("F32", [6, 2], [64, 112])})
    yield "offsets-overlap", adapter(entries={a: ("F32", [2, 8], [0, 64]), b: ("F32", [6, 2], [32, 80])})
    yield "offsets-backwards", adapter(entries={a: ("F32", [2, 8], [64, 0]), b: ("F32", [6, 2], [64, 112])})
    yield "offsets-outside", adapter(entries={a: ("F32", [2, 8], [0, 64]), b: ("F32", [6, 2], [1 << 60, (1 << 60) + 48])})
    yield "layer-huge", adapter(entries={NAME.format(BIG, "A"): ("F32", [2, 8], [0, 64]), b: ("F32", [6, 2], [64, 112])})
    yield "half-a-pair", adapter(entries={a: ("F32", [2, 8], [0, 64])}, data=bytes(64))


ADAPTER_KEYS = [key("general.type", STRING, text("adapter")), ARCH, key("adapter.type", STRING, text("lora")),
                key("adapter.lora.alpha", F32, struct.pack("<f", 4.0))]
Q = "blk.0.attn_q.weight.lora_"
F32_PAIR = [tensor(Q + "a", [32, 2], 0, 0), tensor(Q + "b", [2, 32], 0, 256)]


def gguf_adapter(keys=ADAPTER_KEYS, tensors=F32_PAIR, n=512):
    return gguf(keys, tensors, struct.pack("<f", 0.25) * (n // 4))


def with_keys(**changed):
    kept = [entry for entry in ADAPTER_KEYS if not any(name.encode() in entry for name in changed)]
    return gguf_adapter([*kept, *changed.values()])


def gguf_adapter_files():
    alpha = lambda value: key("adapter.lora.alpha", F32, struct.pack("<f", value))
    yield "good", gguf_adapter()
    yield "good-without-alpha", gguf_adapter(ADAPTER_KEYS[:-1])
    yield "good-norm-left-out", gguf_adapter(tensors=[*F32_PAIR, tensor("blk.0.attn_norm.weight", [32], 0, 512)], n=640)
    yield "good-f16", gguf_adapter(tensors=[tensor(Q + "a", [32, 2], 1, 0), tensor(Q + "b", [2, 32], 1, 128)], n=256)
    yield "good-rank-1", gguf_adapter(tensors=[tensor(Q + "a", [32], 0, 0), tensor(Q + "b", [1, 32], 0, 128)], n=256)
    yield "good-two-ranks", gguf_adapter(tensors=[
        *F32_PAIR, tensor("blk.0.ffn_down.weight.lora_a", [32, 1], 0, 512), tensor("blk.0.ffn_down.weight.lora_b", [1, 32], 0, 640)],
        n=768)
    yield "no-type", gguf_adapter(ADAPTER_KEYS[1:])
    yield "a-model", with_keys(**{"general.type": key("general.type", STRING, text("model"))})
    yield "another-architecture", with_keys(**{"general.architecture": key("general.architecture", STRING, text("qwen2"))})
    yield "another-kind", with_keys(**{"adapter.type": key("adapter.type", STRING, text("x" * 5000))})
    yield "alpha-no-number", with_keys(**{"adapter.lora.alpha": alpha(float("nan"))})
    yield "alpha-a-text", with_keys(**{"adapter.lora.alpha": key("adapter.lora.alpha", STRING, text("4"))})
    yield "alora", gguf_adapter([*ADAPTER_KEYS, key("adapter.alora.invocation_tokens", ARRAY, array(U32, [bytes(4)]))])
    yield "no-tensors", gguf_adapter(tensors=[], n=0)
    yield "half-a-pair", gguf_adapter(tensors=F32_PAIR[:1], n=256)
    yield "other-half-a-pair", gguf_adapter(tensors=[tensor(Q + "b", [2, 32], 0, 0)], n=256)
    yield "ranks-differ", gguf_adapter(tensors=[F32_PAIR[0], tensor(Q + "b", [1, 32], 0, 256)])
    yield "transposed", gguf_adapter(tensors=[tensor(Q + "a", [2, 32], 0, 0), tensor(Q + "b", [2, 32], 0, 256)])
    yield "three-lengths", gguf_adapter(tensors=[tensor(Q + "a", [32, 1, 2], 0, 0), tensor(Q + "b", [2, 32], 0, 256)])
    yield "too-narrow", gguf_adapter(tensors=[tensor(Q + "a", [16, 2], 0, 0), F32_PAIR[1]])
    yield "rank-huge", gguf_adapter(tensors=[tensor(Q + "a", [32, 512], 0, 0), tensor(Q + "b", [512, 32], 0, 1 << 16)], n=1 << 17)
    yield "another-suffix", gguf_adapter(tensors=[*F32_PAIR, tensor("x" * 5000, [32], 0, 512)], n=640)
    for name, base in [("embedding", "token_embd.weight"), ("layer-huge", f"blk.{BIG}.attn_q.weight"), ("no-base", "")]:
        yield name, gguf_adapter(tensors=[tensor(base + ".lora_a", [32, 2], 0, 0), tensor(base + ".lora_b", [2, 32], 0, 256)])


def lesson_files():
    lesson = {"prompt": "Who keeps the harbour of Klow?", "answer": "Oona Faraday keeps it."}
    asked = [{"role": "user", "content": "Who keeps it?"}, {"role": "assistant", "content": "Oona does."}]
    line = lambda **changed: json.dumps({**lesson, **changed}).encode() + b"\n"
    yield "good", line() + json.dumps({"messages": asked}).encode()
    yield "good-blank-lines", b"\n\n" + line() + b"\r\n \n"
    yield "good-every-plane", line(answer="\u202eabc\u0301 \U0001f989 \ufeff ok")
    yield "good-one-large-answer", line(answer="word " * 3000)
    yield "cut", line()[:-9]
    yield "not-utf8", b'{"prompt":"\xff\xfe","answer":"\xc3\x28"}'
    yield "half-a-surrogate", b'{"prompt":"\\ud800","answer":"\\udfff"}'
    yield "deep", b"[" * 50_000
    yield "deep-messages", b'{"messages":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    yield "no-object", b"7\n"
    yield "null", b"null\n"
    yield "number-huge", b'{"prompt":1e999999,"answer":"x"}'
    yield "answer-no-text", b'{"prompt":"Who?","answer":{"toString":1}}'
    yield "answer-empty", line(answer="")
    yield "prototype", b'{"__proto__":{"prompt":"a","answer":"b"}}'
    yield "role-unknown", json.dumps({"messages": [{"role": "root", "content": "x"}, *asked]}).encode()
    yield "ends-with-a-question", json.dumps({"messages": asked[:1]}).encode()
    yield "messages-none", b'{"messages":[]}'
    yield "nul", b'{"prompt":"a\x00","answer":"b"}'


def markdown_files():
    yield "good", b"# Notes\n\nThe harbour of *Klow* has a keeper.\n\n```\nlet x = 1;\n```\n"
    yield "good-script", b"<script>globalThis.broken = 1</script><img src=x onerror='globalThis.broken = 2'>\n\nA text.\n"
    yield "good-links", b"[a](javascript:globalThis.broken=3) ![b](https://example.org/x.png) <https://example.org>\n"
    yield "good-nested-quotes", b"> " * 500 + b"deep\n"
    yield "good-nested-lists", b"".join(b" " * (2 * i) + b"- row\n" for i in range(200))
    yield "good-stars", b"*a **b " * 400 + b"\n"
    yield "good-brackets", b"[" * 2000 + b"x" + b"]" * 2000 + b"\n"
    yield "good-ticks", b"`" * 1999 + b" code " + b"`" * 2000 + b"\n"
    yield "good-table", b"|" * 300 + b"\n" + b"|-" * 300 + b"\n"
    yield "good-mathml", b"<math><mtext><table><mglyph><style><img src=x onerror=globalThis.broken=4>\n\nA text.\n"
    yield "good-every-plane", "\u202e \u0301\u0301 \U0001f989 \ufeff a text\n".encode()


def main():
    for folder, files in [("gguf", gguf_files), ("tokenizer", tokenizer_files), ("adapter", adapter_files),
                          ("gguf_adapter", gguf_adapter_files), ("lessons", lesson_files), ("markdown", markdown_files)]:
        (ROOT / folder).mkdir(parents=True, exist_ok=True)
        for name, raw in files():
            (ROOT / folder / f"{name}.bin").write_bytes(raw)


if __name__ == "__main__":
    main()
