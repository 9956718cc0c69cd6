"""Tiny random models of every family, with what PyTorch computes of them: run it as `python tests/arch/make.py [FOLDER]`.

Needs torch, transformers, peft, safetensors, numpy and gguf (the package beside llama.cpp). For each family it writes a
folder: `model.gguf` as llama.cpp's converter would write it (matrices F16, the rest F32), a PEFT adapter, and
`reference.safetensors`: logits, loss and LoRA gradients in float64 arithmetic on the very numbers that the GGUF holds
(transformers' own norms and rotary angles stay float32), and a greedy continuation. The same seed gives the same files.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCAB, DIM, FF, LAYERS, HEADS, KV_HEADS = 259, 64, 96, 2, 4, 2
CONTEXT, RANK, ALPHA, CONTINUATION = 128, 4, 8, 10
LINEARS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# Wavelengths up to 8 positions stay, from 32 on they are stretched eightfold, and between the two gradually.
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def families():
    """Name of the folder, GGUF's architecture, the model, its head width and the base of its rotary angles."""
    shape = dict(
        vocab_size=VOCAB,
        hidden_size=DIM,
        intermediate_size=FF,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        max_position_embeddings=CONTEXT,
        attn_implementation="eager",
    )
    llama = LlamaConfig(**shape, rms_norm_eps=1e-5, tie_word_embeddings=False, rope_parameters=LLAMA3)
    theta = {"rope_type": "default", "rope_theta": 1e6}
    qwen2 = Qwen2Config(**shape, rms_norm_eps=1e-6, tie_word_embeddings=False, rope_parameters=theta)
    # Heads of 32, though 64 / 4 is 16.
    qwen3 = Qwen3Config(**shape, rms_norm_eps=1e-6, tie_word_embeddings=True, rope_parameters=theta, head_dim=32)
    yield "llama3", "llama", LlamaForCausalLM(llama), 16, 10_000.0
    yield "qwen2", "qwen2", Qwen2ForCausalLM(qwen2), 16, 1e6
    yield "qwen3", "qwen3", Qwen3ForCausalLM(qwen3), 32, 1e6


def randomize(model, generator):
    """Numbers that F16 holds exactly where the file is F16: matrices at unit gain, gains and biases away from 1 and 0."""
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        if weight.dim() == 2:
            value = (noise * 1.5 / weight.shape[1] ** 0.5).half()
        elif name.endswith("bias"):
            value = (noise * 0.5).float()
        else:
            value = (1 + 0.3 * noise).float()
        weight.data = value.double()


def permute(weight, heads):
    """Rows of q or k from Hugging Face's order to the interleaved one of a `llama` GGUF, as llama.cpp's converter does."""
    rows, cols = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


def llama3_divisors(head_dim):
    """What divides each frequency: 1 for short waves, the factor for long ones, a blend of 1 and 1 / factor between."""
    low, high = LLAMA3["low_freq_factor"], LLAMA3["high_freq_factor"]
    original, factor = LLAMA3["original_max_position_embeddings"], LLAMA3["factor"]
    divisors = []
    for i in range(head_dim // 2):
        turns = original * LLAMA3["rope_theta"] ** (-2 * i / head_dim) / (2 * np.pi)
        share = min(max((turns - low) / (high - low), 0.0), 1.0)
        divisors.append(1 / ((1 - share) / factor + share))
    return np.array(divisors, dtype=np.float32)


def byte_tokens():
    """GPT-2's byte alphabet, one merge and two special tokens."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    hidden = [b for b in range(256) if b not in plain]
    chars = {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(hidden)}
    return [chars[b] for b in range(256)] + ["ab", "<|im_end|>", "<|endoftext|>"]


def write_gguf(path, name, arch, model, head_dim, theta):
    writer = gguf.GGUFWriter(path, arch)
    writer.add_name(f"tiny {name}")
    writer.add_block_count(LAYERS)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(DIM)
    writer.add_feed_forward_length(FF)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(model.config.rms_norm_eps)
    writer.add_rope_freq_base(theta)
    if arch == "llama":
        writer.add_rope_dimension_count(head_dim)
    if arch == "qwen3":
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    tokens = byte_tokens()
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe" if arch == "llama" else "qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3] * 2)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(257)
    writer.add_add_bos_token(False)
    if arch == "llama":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(head_dim))
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"].astype(np.float16))
    for layer in range(LAYERS):
        def theirs(part):
            return state[f"model.layers.{layer}.{part}"]

        for hf, ours in LINEARS.items():
            weight = theirs(f"{hf}.weight")
            if arch == "llama" and hf.endswith(("q_proj", "k_proj")):
                weight = permute(weight, HEADS if hf.endswith("q_proj") else KV_HEADS)
            writer.add_tensor(f"blk.{layer}.{ours}.weight", weight.astype(np.float16))
            if f"model.layers.{layer}.{hf}.bias" in state:
                writer.add_tensor(f"blk.{layer}.{ours}.bias", theirs(f"{hf}.bias").astype(np.float32))
        norms = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
        if arch == "qwen3":
            norms |= {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
        for hf, ours in norms.items():
            writer.add_tensor(f"blk.{layer}.{ours}.weight", theirs(f"{hf}.weight").astype(np.float32))
    writer.add_tensor("output_norm.weight", state["model.norm.weight"].astype(np.float32))
    if not model.config.tie_word_embeddings:
        writer.add_tensor("output.weight", state["lm_head.weight"].astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def greedy(model, ids):
    """The continuation token by token, and by how much the least sure of them was ahead of the next best."""
    tokens, margin = ids.tolist(), float("inf")
    for _ in range(CONTINUATION):
        best = model(torch.tensor([tokens])).logits[0, -1].topk(2)
        tokens.append(int(best.indices[0]))
        margin = min(margin, float(best.values[0] - best.values[1]))
    return tokens[len(ids) :], margin


def clear_answer(model, generator):
    """A prompt whose greedy continuation is ahead by 0.1 everywhere and stops nowhere."""
    while True:
        prompt = torch.randint(256, (9,), generator=generator)
        answer, margin = greedy(model, prompt)
        if margin >= 0.1 and max(answer) < 256:
            return {"prompt.ids": prompt.int(), "answer.ids": torch.tensor(answer, dtype=torch.int32)}


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    for seed, (name, arch, model, head_dim, theta) in enumerate(families()):
        out = folder / name
        out.mkdir(parents=True, exist_ok=True)
        generator = torch.Generator().manual_seed(seed)
        randomize(model, generator)
        model = model.double().eval()
        model.tie_weights()
        write_gguf(out / "model.gguf", name, arch, model, head_dim, theta)
        sequences = {
            "short": torch.randint(256, (7,), generator=generator),
            "long": torch.randint(256, (48,), generator=generator),
        }
        made = {f"{key}.ids": ids.int() for key, ids in sequences.items()}
        with torch.no_grad():
            for key, ids in sequences.items():
                made[f"{key}.logits"] = model(ids[None]).logits[0]
            made |= clear_answer(model, generator)
        targets = [linear.split(".")[1] for linear in LINEARS]
        lora = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets))
        for key, weight in lora.named_parameters():
            if "lora_" in key:
                noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
                weight.data = (noise * (0.5 if "lora_A" in key else 0.25)).float().double()
        for key, ids in sequences.items():
            lora.zero_grad()
            loss = lora(ids[None], labels=ids[None]).loss
            loss.backward()
            made[f"{key}.loss"] = loss.detach()[None]
            for parameter, weight in lora.named_parameters():
                if weight.grad is not None:
                    # base_model.model.model.layers.N.BLOCK.MODULE.lora_A.default.weight
                    parts = parameter.split(".")
                    made[f"{key}.layers.{parts[4]}.{parts[6]}.{parts[7][-1]}"] = weight.grad.clone()
            with torch.no_grad():
                made[f"{key}.adapted"] = lora(ids[None]).logits[0]
        lora.float().save_pretrained(out)
        (out / "README.md").unlink(missing_ok=True)
        made = {key: t if t.dtype == torch.int32 else t.float() for key, t in made.items()}
        save_file(made, out / "reference.safetensors")
        sizes = {file.name: file.stat().st_size for file in sorted(out.iterdir())}
        print(name, json.dumps(sizes))


if __name__ == "__main__":
    main()
