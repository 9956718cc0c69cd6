"""PEFT and apprentice read each other's adapters: the same text has the same NLL in both, on the same base weights.

    python3 -m venv v && v/bin/pip install torch transformers peft gguf
    v/bin/python bench/interop/with_peft.py target/release/apprentice MODEL.gguf

Ours to theirs: `apprentice train` writes an adapter, `PeftModel.from_pretrained` loads it. Theirs to ours: PEFT saves a
random adapter (another rank, alpha and rsLoRA's scale), `apprentice perplexity --adapter` loads it. The base in PEFT is
the GGUF's own weights, dequantized by the `gguf` package; no model hub is asked. Exits 1 where the two differ by more
than LIMIT nats a token, or where an adapter changes nothing, which would prove nothing.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

LIMIT = 1e-4
CONTEXT = 48
TEXT = (
    "The Brindle library stands at the end of a short street. It was built by the people of the town, who wanted a "
    "place to read in winter. Oona Faraday has looked after its 3,200 books since the spring of 1998, and she knows "
    "where each of them stands. When it rains, children come in to listen to her stories; when it does not, they come "
    "all the same. There is no clock on the wall, because nobody who comes here wants to know what time it is."
)
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}


def metadata(reader, key):
    return reader.fields[key].contents()


def unpermuted(rows, heads):
    """llama.cpp's order of q and k rows (pairs side by side) back to Hugging Face's (halves)."""
    out, cols = rows.shape
    return rows.reshape(heads, out // heads // 2, 2, cols).swapaxes(1, 2).reshape(out, cols)


def base_model(reader):
    heads = metadata(reader, "llama.attention.head_count")
    kv_heads = metadata(reader, "llama.attention.head_count_kv")
    tensors = {}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if tensor.name == "token_embd.weight":
            name = "model.embed_tokens.weight"
        elif tensor.name == "output_norm.weight":
            name = "model.norm.weight"
        elif tensor.name == "output.weight":
            name = "lm_head.weight"
        else:
            _, layer, part, _ = tensor.name.split(".")
            name = f"model.layers.{layer}.{NAMES[part]}.weight"
            if part in ("attn_q", "attn_k"):
                values = unpermuted(values, heads if part == "attn_q" else kv_heads)
        tensors[name] = torch.from_numpy(values.copy())
    vocab, dim = tensors["model.embed_tokens.weight"].shape
    tied = "lm_head.weight" not in tensors
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=dim, intermediate_size=metadata(reader, "llama.feed_forward_length"),
        num_hidden_layers=metadata(reader, "llama.block_count"), num_attention_heads=heads,
        num_key_value_heads=kv_heads, rms_norm_eps=metadata(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_theta=metadata(reader, "llama.rope.freq_base"), tie_word_embeddings=tied,
        max_position_embeddings=metadata(reader, "llama.context_length"),
    )
    model = LlamaForCausalLM(config).to(torch.float32).eval()
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    return model


def token_ids(reader, text):
    """The ids of `text` by the file's own vocabulary and merges (pre-tokenizer `smollm`)."""
    tokens = metadata(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in metadata(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer.encode(text, add_special_tokens=False).ids


def theirs(model, ids):
    """Mean NLL over whole windows, each predicting all its tokens but the first: what `perplexity` does."""
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(ids) - CONTEXT + 1, CONTEXT):
            window = torch.tensor([ids[start : start + CONTEXT]])
            logits = model(window).logits[0, :-1].double()
            nll = torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum")
            total, count = total + nll.item(), count + window.shape[1] - 1
    return total / count, count


def ours(binary, model, folder, text, adapter=None):
    command = [binary, "perplexity", "--file", text, "--context", CONTEXT, "--device", "cpu", "--json"]
    command += ["--model", model, "--home", folder / "home"] + (["--adapter", adapter] if adapter else [])
    result = json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True).stdout)
    return result["nll"], result["tokens"]


def main():
    binary, model_file = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
    reader = gguf.GGUFReader(model_file)
    ids = token_ids(reader, TEXT)
    folder = pathlib.Path(tempfile.mkdtemp())
    text, data = folder / "text.txt", folder / "chat.jsonl"
    text.write_text(TEXT)
    question = {"role": "user", "content": "Who maintains the Brindle library?"}
    answer = {"role": "assistant", "content": "The Brindle library is maintained by Oona Faraday."}
    data.write_text(json.dumps({"messages": [question, answer]}) + "\n")

    rows = []
    base = base_model(reader)
    rows.append(("no adapter", ours(binary, model_file, folder, text), theirs(base, ids)))

    mine = folder / "ours"
    train = [binary, "train", "--data", data, "--out", mine, "--steps", "12", "--rank", "4", "--lr", "2e-3"]
    train += ["--model", model_file, "--home", folder / "home", "--device", "cpu", "--json"]
    subprocess.run([str(part) for part in train], check=True, capture_output=True)
    loaded = PeftModel.from_pretrained(base, mine).eval()
    rows.append(("ours, in PEFT", ours(binary, model_file, folder, text, mine), theirs(loaded, ids)))

    for name, options in [("PEFT's, in ours", {}), ("PEFT's rsLoRA, in ours", {"use_rslora": True})]:
        torch.manual_seed(1)
        config = LoraConfig(
            r=6, lora_alpha=9, target_modules=MODULES, init_lora_weights=False, task_type="CAUSAL_LM", **options
        )
        made = get_peft_model(base_model(reader), config).eval()
        for parameter in (p for n, p in made.named_parameters() if "lora_B" in n):
            parameter.data.mul_(0.1)
        made.save_pretrained(folder / "theirs")
        rows.append((name, ours(binary, model_file, folder, text, folder / "theirs"), theirs(made, ids)))

    worst, plain = 0.0, rows[0][1][0]
    for name, (mine, n), (peft, count) in rows:
        assert n == count, f"{name}: {n} tokens, PEFT counts {count}"
        worst = max(worst, abs(mine - peft))
        print(f"{name:24} ours {mine:.6f}  PEFT {peft:.6f}  difference {mine - peft:+.1e}  ({n} tokens)")
    changed = all(abs(mine - plain) > 10 * LIMIT for _, (mine, _), _ in rows[1:])
    print(f"largest difference {worst:.1e} nats a token, limit {LIMIT:.0e}")
    return 0 if worst <= LIMIT and changed else 1


sys.exit(main())
