#!/usr/bin/env python3
"""The same adapters here, in PEFT and in llama.cpp: the same logits on the same base, both ways.

    cargo xtask interop            # or: cargo build --release && python3 bench/interop/run.py

This file needs Python 3.10 or later and nothing else. It makes virtual environments under target/peers/, installs the
peers from PyPI (llama.cpp as llama-cpp-python, which compiles for this machine: some twenty minutes on two quiet cores,
once; with --prebuilt as xllamacpp, whose wheel is ready), and runs compare.py, which prints the table. Exits 1 where two
programs differ by more than a row's limit, or where an adapter changes nothing, which would prove nothing. An existing
environment is used with --torch-python and --llama-python.
"""
import argparse
import subprocess
import sys
from pathlib import Path

from environment import ROOT, python_of

MODEL = Path.home() / ".cache/apprentice/SmolLM2-135M-Instruct.Q4_1.gguf"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL, help="a llama GGUF [default: the default model]")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/apprentice")
    parser.add_argument("--prebuilt", action="store_true", help="llama.cpp from xllamacpp's wheel")
    parser.add_argument("--torch-python", type=Path, help="a Python that has torch, transformers, peft and gguf")
    parser.add_argument("--llama-python", type=Path, help="a Python that has llama_cpp or xllamacpp, and numpy")
    parser.add_argument("--only", choices=["peft", "llama"], help="one of the two peers")
    args = parser.parse_args()
    for path, hint in [(args.model, "cargo xtask model"), (args.binary, "cargo build --release")]:
        if not path.exists():
            sys.exit(f"{path} is not there; run `{hint}`")
    torch = args.torch_python or python_of("torch")
    command = [torch, Path(__file__).with_name("compare.py"), args.binary.resolve(), args.model.resolve()]
    if args.only != "peft":
        llama = args.llama_python or python_of("llama" if args.prebuilt else "llama-source")
        command += ["--llama-python", llama]
    if args.only == "llama":
        command += ["--without-peft"]
    sys.exit(subprocess.run([str(part) for part in command]).returncode)


main()
