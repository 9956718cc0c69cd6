#!/usr/bin/env python3
"""Our CPU device beside llama.cpp, PEFT and transformers: the same machine, the same run, the same GGUF.

Run it with any Python 3.10 or later:

    cargo build --release && python3 bench/peers/cpu.py

It makes virtual environments under target/peers/, installs the peers from PyPI (llama.cpp as xllamacpp, whose wheel is
built for AVX2; with --from-source as llama-cpp-python, which compiles for this machine, some twenty minutes on two
quiet cores), and measures in turns (ours, llama.cpp, PEFT, ours, ...), so that whatever else the
machine does touches all alike. What is printed and written to bench/results/ are medians and their ratios. An existing
environment is used with --torch-python and --llama-python.

PEFT trains a randomly initialized model of the GGUF's shape: speed does not depend on the numbers in the weights, and no
model hub is needed.
"""
import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "target" / "peers"
MODEL = Path.home() / ".cache/apprentice/SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGES = {"torch": ["torch", "transformers", "peft"], "llama": ["xllamacpp"], "llama-source": ["llama-cpp-python"]}
# The default model's shape, as its GGUF states it.
SHAPE = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
    "num_key_value_heads": 3, "vocab_size": 49152, "max_position_embeddings": 2048, "tie_word_embeddings": True,
    "rope_theta": 100000.0,
}
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
DECODE = 64


def tokens(n):
    """Any tokens do; a fixed stride keeps them apart."""
    return [(i * 7919) % SHAPE["vocab_size"] for i in range(n)]


def answer(value):
    """One line to the process that asked."""
    value["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps(value), flush=True)


def serve_llama(args):
    """Prefill and decode of llama.cpp, once for each line on standard input."""
    try:
        import llama_cpp
    except ImportError:
        return serve_llama_server(args)
    model = llama_cpp.Llama(str(args.model), n_ctx=2048, n_batch=512, n_threads=args.threads,
                            n_threads_batch=args.threads, verbose=False)
    prompt = tokens(args.prompt)
    answer({"version": f"llama-cpp-python {llama_cpp.__version__}"})
    for _ in sys.stdin:
        model.reset()
        start = time.perf_counter()
        model.eval(prompt)
        prefilled = time.perf_counter()
        for i in range(DECODE):
            model.eval([prompt[i % len(prompt)]])
        seconds = time.perf_counter() - prefilled
        answer({"prefill": args.prompt / (prefilled - start), "decode": DECODE / seconds})


def serve_llama_server(args):
    """The same through llama.cpp's own server, which times its prompts and its tokens itself."""
    import importlib.metadata

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(args.model)
    params.n_ctx, params.n_batch, params.n_parallel, params.n_gpu_layers, params.verbosity = 2048, 512, 1, 0, -1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    server = xllamacpp.Server(params)
    request = {"prompt": tokens(args.prompt), "n_predict": DECODE, "temperature": 0, "ignore_eos": True,
               "cache_prompt": False}
    answer({"version": f"xllamacpp {importlib.metadata.version('xllamacpp')}"})
    for _ in sys.stdin:
        reply = server.handle_completions(request)
        timings = (json.loads(reply) if isinstance(reply, str) else reply)["timings"]
        answer({"prefill": timings["prompt_per_second"], "decode": timings["predicted_per_second"]})


def serve_torch(args):
    """A LoRA step of PEFT, and a prefill of transformers, both in fp32, once for each line on standard input."""
    import peft
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)).float()
    lora = peft.LoraConfig(r=8, lora_alpha=16, target_modules=LINEARS, task_type="CAUSAL_LM")
    model = peft.get_peft_model(model, lora)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    ids = torch.tensor([tokens(args.prompt)])
    answer({"version": f"torch {torch.__version__}, transformers {transformers.__version__}, "
                       f"peft {peft.__version__}"})
    for _ in sys.stdin:
        model.train()
        start = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        trained_in = time.perf_counter() - start
        model.eval()
        with torch.no_grad(), model.disable_adapter():
            start = time.perf_counter()
            model(input_ids=ids, logits_to_keep=1)
            prefilled_in = time.perf_counter() - start
        answer({"train": args.prompt / trained_in, "prefill": args.prompt / prefilled_in})


class Peer:
    """A peer in a process of its own, which keeps its model between measurements."""

    def __init__(self, name, python, args):
        command = [str(python), __file__, "--serve", name, "--model", str(args.model), "--threads", str(args.threads),
                   "--prompt", str(args.prompt)]
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self.read()["version"]

    def read(self):
        # A peer may print lines of its own.
        for line in self.process.stdout:
            if line.startswith('{"'):
                return json.loads(line)
        sys.exit(f"{self.name}: the peer's process ended with {self.process.wait()}")

    def measure(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ours(args):
    """One run of `apprentice bench`: it warms up once by itself."""
    lengths = [f"--{what}={args.prompt}" for what in ("prefill", "contexts", "train")]
    command = [str(args.binary), "bench", "--json", "--device", "cpu", "--model", str(args.model), "--runs", str(args.runs),
               "--only", "prefill,decode,training", "--decode", str(DECODE), *lengths]
    env = dict(os.environ, RAYON_NUM_THREADS=str(args.threads))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(command)} failed")
    result = json.loads(output)
    return {
        "prefill": result["prefill"][0]["tokens_per_s"], "decode": result["decode"][0]["tokens_per_s"],
        "train": result["training"][0]["tokens_per_s"], "peak_rss_mb": usage.ru_maxrss / 1000,
    }


def python_with(name, given):
    """The environment's Python, made and filled if it is not there."""
    if given:
        return given
    folder = HOME / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        print(f"installing {', '.join(PACKAGES[name])} into {folder.relative_to(ROOT)}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES[name]], check=True)
        (folder / "ready").touch()
    return python


def machine():
    info = {"system": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()}
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            info["cpu"] = value.strip()
        if key.strip() == "flags":
            info["simd"] = [flag for flag in ("avx2", "fma", "avx512f", "avx512_vnni") if flag in value.split()]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return info | {"memory_gb": round(pages / 1e9, 1)}


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def report(runs, versions, args):
    """Medians, and ours over each peer's, where both have the number."""
    names = {"ours": "apprentice", "llama": "llama.cpp", "torch": "PEFT and transformers, fp32"}
    summary = {name: {key: median(of, key) for key in of[0]} for name, of in runs.items()}
    ratios = {}
    for key in ("decode", "prefill", "train"):
        for name in ("llama", "torch"):
            if key in summary.get(name, {}):
                pairs = [us[key] / them[key] for us, them in zip(runs["ours"], runs[name])]
                ratios[f"{key}, ours over {names[name]}"] = statistics.median(pairs)
    print(f"\n{'':30}{'decode':>9}{'prefill':>9}{'train':>9}  tokens/s{'peak':>8} MB")
    for name, values in summary.items():
        row = "".join(f"{values[key]:9.1f}" if key in values else f"{'':9}" for key in ("decode", "prefill", "train"))
        print(f"{names[name]:30}{row}{'':10}{values['peak_rss_mb']:8.0f}")
    for what, ratio in ratios.items():
        print(f"{what}: {ratio:.2f}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": datetime.date.today().isoformat(), "commit": commit.stdout.strip(), "machine": machine(),
        "versions": versions, "threads": args.threads, "prompt_tokens": args.prompt, "decoded_tokens": DECODE,
        "model": args.model.name, "median": summary, "median_of_ratios": ratios, "runs": runs,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=MODEL, help="the GGUF that all run [default: the cached model]")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/apprentice")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--prompt", type=int, default=128, help="tokens of the prefill and of a training step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3, help="runs of ours in a round, of which the median counts")
    parser.add_argument("--torch-python", type=Path, help="a Python that has torch, transformers and peft")
    parser.add_argument("--llama-python", type=Path, help="a Python that has llama_cpp or xllamacpp")
    parser.add_argument("--from-source", action="store_true", help="compile llama.cpp for this machine")
    parser.add_argument("--without", nargs="*", default=[], choices=["llama", "torch"], help="peers to leave out")
    parser.add_argument("--out", type=Path, help="where the JSON goes [default: bench/results/DATE-cpu-peers.json]")
    parser.add_argument("--serve", choices=["llama", "torch"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        return {"llama": serve_llama, "torch": serve_torch}[args.serve](args)
    for path, fix in ((args.model, "cargo xtask model"), (args.binary, "cargo build --release")):
        if not path.exists():
            sys.exit(f"{path} is not there; run `{fix}`")
    given = {"llama": args.llama_python, "torch": args.torch_python}
    folders = {"llama": "llama-source" if args.from_source else "llama", "torch": "torch"}
    peers = [Peer(name, python_with(folders[name], given[name]), args) for name in given if name not in args.without]
    for peer in peers:
        peer.measure()  # The first run warms caches and is not counted.
    runs = {"ours": []} | {peer.name: [] for peer in peers}
    for number in range(args.rounds):
        print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
        runs["ours"].append(ours(args))
        for peer in peers:
            runs[peer.name].append(peer.measure())
    for peer in peers:
        peer.close()
    result = report(runs, {peer.name: peer.version for peer in peers}, args)
    out = args.out or ROOT / "bench/results" / f"{result['date']}-cpu-peers.json"
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
