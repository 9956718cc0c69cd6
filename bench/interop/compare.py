"""The table of run.py: the logits of one text with the same adapter in two programs. Runs with torch, PEFT and gguf.

Each row is an adapter and two programs that answer with it on the same base weights (the GGUF's own, dequantized). What is
compared are log-probabilities, f64 log-softmax of either program's logits, of every token that one of the two gives 1e-3 or
more; `moved` is the same distance between with and without the adapter, so that a row shows that the adapter did something.
llama.cpp rounds what it multiplies with quantized weights to 8 bits, so it is held to the limit on the base in F32 (the same
numbers); on the file as it is, its difference with an adapter is held to that of the bases without one.
"""
import argparse
import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file

from base import base_model, heads_of, permuted, tensors_of, token_ids

# Largest difference of a log-probability, in nats: f32 sums in other orders.
LIMIT = 5e-4
# How many times the bases' difference llama.cpp may differ with an adapter on the file as it is.
TIMES = 2.0
# An adapter must move the answers by this many limits.
MOVED = 20
CONTEXT, WINDOWS, POSITIONS = 48, 2, [5, 17, 30, 47]
TEXT = (
    "The Brindle library stands at the end of a short street. It was built by the people of the town, who wanted a "
    "place to read in winter. Oona Faraday has looked after its 3,200 books since the spring of 1998, and she knows "
    "where each of them stands. When it rains, children come in to listen to her stories; when it does not, they come "
    "all the same. There is no clock on the wall, because nobody who comes here wants to know what time it is."
)
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
GGUF_NAMES = dict(zip(LINEARS, ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]))


def log_softmax(logits):
    logits = logits.astype(numpy.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - numpy.log(numpy.exp(logits).sum(axis=-1, keepdims=True))


def distance(a, b):
    """The largest difference of the log-probabilities that count; infinite where one program told no such number."""
    counts = numpy.fmax(a, b) > numpy.log(1e-3)
    differences = numpy.abs(a - b)[counts]
    return float("inf") if numpy.isnan(differences).any() else float(differences.max())


class Bench:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.reader = gguf.GGUFReader(args.model)
        tensors = tensors_of(self.reader)
        self.vocabulary = tensors["model.embed_tokens.weight"].shape[0]
        self.fresh = base_model(self.reader, tensors)
        ids = token_ids(self.reader, TEXT)
        self.windows = [ids[i * CONTEXT : (i + 1) * CONTEXT] for i in range(WINDOWS)]
        self.text = folder / "text.txt"
        self.text.write_text(TEXT)
        self.files, self.rows, self.llama = 0, [], None

    def path(self, name):
        self.files += 1
        return self.folder / f"{self.files}-{name}"

    def apprentice(self, command, *args, model=None):
        common = ["--model", model or self.args.model, "--home", self.folder / "home", "--device", "cpu", "--json"]
        whole = [str(part) for part in [self.args.binary, command, *args, *common]]
        done = subprocess.run(whole, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(whole)}: {done.stderr.strip()}")
        return done.stdout

    def ours(self, *adapters, model=None):
        out = self.path("logits.safetensors")
        options = [part for adapter in adapters for part in ("--adapter", adapter)]
        self.apprentice("perplexity", "--file", self.text, "--context", CONTEXT, "--logits", out, *options, model=model)
        logits = load_file(out)["logits"][:WINDOWS]
        return log_softmax(logits)[:, POSITIONS]

    def base(self):
        """A model of its own: PEFT puts its modules into the one that it is given."""
        return copy.deepcopy(self.fresh)

    def theirs(self, model):
        with torch.no_grad():
            logits = model.eval()(torch.tensor(self.windows)).logits.float().numpy()
        return log_softmax(logits)[:, POSITIONS]

    def llama_cpp(self, model, adapters=()):
        out = self.path("llama.npy")
        request = {"model": str(model), "adapters": [[str(path), scale] for path, scale in adapters], "told": 2000,
                   "windows": self.windows, "positions": POSITIONS, "vocabulary": self.vocabulary, "out": str(out)}
        worker = [str(self.args.llama_python), str(Path(__file__).with_name("llama_worker.py"))]
        done = subprocess.run(worker, input=json.dumps(request) + "\n", capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"llama.cpp: {done.stderr.strip()[-800:]}")
        self.llama = next(line[5:] for line in done.stdout.splitlines() if line.startswith("NAME "))
        return numpy.load(out)

    def row(self, name, one, other, base=None, limit=LIMIT):
        """A line of the table: `one` and `other` are the two programs', `base` is what `one` says without the adapter."""
        off = distance(one, other)
        moved = None if base is None else distance(one, base)
        good = off <= limit and (moved is None or moved >= MOVED * LIMIT)
        self.rows.append(good)
        moved = "        " if moved is None else f"{moved:8.3f}"
        print(f"{name:56} {off:10.2e} {limit:9.1e} {moved}  {'ok' if good else 'WRONG'}", flush=True)
        return off


def peft_adapter(bench, seed, config):
    """A PEFT adapter with random numbers that move the answers without breaking them; its folder and its model."""
    torch.manual_seed(seed)
    model = get_peft_model(bench.base(), config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.mul_(0.1)
            elif "magnitude" in name or "ia3_l" in name:
                parameter.mul_(1 + 0.2 * torch.rand_like(parameter))
    folder = bench.path("theirs")
    model.save_pretrained(folder)
    return folder, model


def lora(rank=6, alpha=9, **options):
    return LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=LINEARS, init_lora_weights=False, task_type="CAUSAL_LM", **options
    )


def ia3():
    return IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM")


def trained(bench, *options):
    """An adapter that we trained, as a PEFT folder."""
    data, out = bench.path("chat.jsonl"), bench.path("ours")
    question = {"role": "user", "content": "Who maintains the Brindle library?"}
    answer = {"role": "assistant", "content": "The Brindle library is maintained by Oona Faraday."}
    data.write_text(json.dumps({"messages": [question, answer]}) + "\n")
    bench.apprentice("train", "--data", data, "--out", out, "--steps", 12, *options)
    return out


def with_peft(bench, base):
    print("\nPEFT, the base in F32")
    bench.row("no adapter", base, bench.theirs(bench.base()))
    mine = trained(bench, "--rank", 4, "--lr", 2e-3)
    bench.row("our LoRA, in PEFT", bench.ours(mine), bench.theirs(PeftModel.from_pretrained(bench.base(), mine)), base)
    patterns = {"rank_pattern": {"k_proj": 3, r"layers\.2\.mlp\.up_proj": 11}, "alpha_pattern": {"q_proj": 4}}
    methods = [("LoRA", lora()), ("rsLoRA", lora(use_rslora=True)), ("LoRA of several ranks and alphas", lora(**patterns)),
               ("DoRA", lora(use_dora=True)), ("(IA)3", ia3())]
    for name, config in methods:
        folder, model = peft_adapter(bench, 1, config)
        theirs = bench.theirs(model)
        bench.row(f"PEFT's {name}, in ours", bench.ours(folder), theirs, base)
        back = bench.path("back")
        bench.apprentice("export", "--adapter", folder, "--out", back)
        again = bench.theirs(PeftModel.from_pretrained(bench.base(), back))
        bench.row("the same written by us, in PEFT", theirs, again, base)
        merged = bench.path("merged.gguf")
        bench.apprentice("merge", "--adapter", folder, "--type", "f32", "--out", merged)
        bench.row("the same merged by us into F32, against PEFT unmerged", bench.ours(model=merged), theirs, base)
        merged.unlink()
    one, _ = peft_adapter(bench, 2, lora(rank=4, alpha=8))
    two, _ = peft_adapter(bench, 3, lora(rank=3, alpha=3))
    model = PeftModel.from_pretrained(bench.base(), one, adapter_name="one")
    model.load_adapter(two, adapter_name="two")
    model.add_weighted_adapter(["one", "two"], [1.0, 0.5], "both", combination_type="cat")
    model.set_adapter("both")
    bench.row("two at once, weights 1 and 0.5, in both", bench.ours(one, f"{two}=0.5"), bench.theirs(model), base)


def by_convention(bench, peft_folder, alpha):
    """A GGUF adapter with PEFT's numbers, written by the gguf package as llama.cpp's converter does."""
    heads, out = heads_of(bench.reader), bench.path("convention.gguf")
    writer = gguf.GGUFWriter(out, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, values in load_file(peft_folder / "adapter_model.safetensors").items():
        layer, module, half = name.split(".")[4], name.split(".")[6], name.split(".")[7]
        part = GGUF_NAMES[module]
        if half == "lora_B" and part in heads:
            values = permuted(values, heads[part])
        writer.add_tensor(f"blk.{layer}.{part}.weight.{half.lower()}", numpy.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def with_llama_cpp(bench, base):
    wide = bench.path("base-f32.gguf")
    bench.apprentice("quantize", "--type", "f32", "--pure", bench.args.model, wide)
    mine = trained(bench, "--rank", 4, "--lr", 2e-3)
    exported = {}
    for name, folder in [("our LoRA", mine), ("PEFT's rsLoRA", peft_adapter(bench, 1, lora(use_rslora=True))[0])]:
        exported[name] = bench.path("adapter.gguf")
        bench.apprentice("export", "--adapter", folder, "--format", "gguf", "--out", exported[name])
    folder, model = peft_adapter(bench, 4, lora())
    convention = by_convention(bench, folder, 9.0)
    both = bench.theirs(model)
    del model
    print("\nllama.cpp, the base in F32")
    bench.row("no adapter", base, bench.llama_cpp(wide))
    for name, path in exported.items():
        bench.row(f"{name} (GGUF written by us), in llama.cpp", bench.ours(path), bench.llama_cpp(wide, [(path, 1.0)]), base)
    path = exported["our LoRA"]
    halved = bench.llama_cpp(wide, [(path, 0.5)])
    bench.row("the first at scale 0.5, in both", bench.ours(f"{path}=0.5"), halved, base)
    bench.row("GGUF by llama.cpp's convention, in ours, against PEFT", bench.ours(convention), both, base)
    bench.row("the same in llama.cpp", bench.ours(convention), bench.llama_cpp(wide, [(convention, 1.0)]), base)
    wide.unlink()
    print("\nllama.cpp, the file as it is (its activations are rounded to 8 bits)")
    rounded = bench.llama_cpp(bench.args.model)
    off = bench.row("no adapter: told, not judged", base, rounded, limit=float("inf"))
    loaded = bench.llama_cpp(bench.args.model, [(path, 1.0)])
    bench.row("our LoRA, in llama.cpp", bench.ours(path), loaded, base, limit=TIMES * off)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--llama-python", type=Path)
    parser.add_argument("--without-peft", action="store_true")
    args = parser.parse_args()
    # Threads that wait for each other suffer on a busy machine, and there is little to do.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, Path(folder))
        base = bench.ours()
        print(f"{'largest difference of a log-probability, nats':56} {'difference':>10} {'limit':>9} {'moved':>8}")
        if not args.without_peft:
            with_peft(bench, base)
        if args.llama_python:
            with_llama_cpp(bench, base)
            print(f"\n{bench.llama}")
    wrong = bench.rows.count(False)
    print(f"{len(bench.rows)} rows, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
