"""A llama GGUF as transformers' model with the same weights, and its token ids: no hub is asked.

The weights are dequantized by the `gguf` package, and the rows of q and k are put back into Hugging Face's order.
"""
import gguf
import numpy
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

NAMES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}


def metadata(reader, key):
    return reader.fields[key].contents()


def heads_of(reader):
    """Heads whose rows llama.cpp's converter permutes, by the part's name."""
    return {"attn_q": metadata(reader, "llama.attention.head_count"), "attn_k": metadata(reader, "llama.attention.head_count_kv")}


def permuted(rows, heads):
    """Hugging Face's order of q and k rows (halves) as llama.cpp has it (pairs side by side)."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def unpermuted(rows, heads):
    return rows.reshape(heads, rows.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def tensors_of(reader):
    heads, tensors = heads_of(reader), {}
    whole = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
             "output.weight": "lm_head.weight"}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        name = whole.get(tensor.name)
        if name is None:
            _, layer, part, _ = tensor.name.split(".")
            name = f"model.layers.{layer}.{NAMES[part]}.weight"
            if part in heads:
                values = unpermuted(values, heads[part])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


def base_model(reader, tensors):
    """A fresh model over (copies of) the tensors."""
    vocab, dim = tensors["model.embed_tokens.weight"].shape
    heads = heads_of(reader)
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=dim, intermediate_size=metadata(reader, "llama.feed_forward_length"),
        num_hidden_layers=metadata(reader, "llama.block_count"), num_attention_heads=heads["attn_q"],
        num_key_value_heads=heads["attn_k"], rms_norm_eps=metadata(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_theta=metadata(reader, "llama.rope.freq_base"), tie_word_embeddings="lm_head.weight" not in tensors,
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
    return tokenizer.encode(text, add_special_tokens=False).ids
