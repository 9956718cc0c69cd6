"""Virtual environments of the peers under target/peers/, made and filled from PyPI when they are first wanted.

It needs Python 3.10 or later and nothing else.
"""
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "target" / "peers"
PACKAGES = {
    "torch": ["torch", "transformers", "peft", "gguf"],
    "llama": ["xllamacpp", "numpy"],
    "llama-source": ["llama-cpp-python", "numpy"],
    "openai": ["openai", "jsonschema"],
}


def python_of(name):
    """The Python of an environment that has the packages; made and filled where it has not."""
    folder = HOME / name
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *PACKAGES[name]]
    if subprocess.run(install).returncode != 0:
        sys.exit(f"pip could not install {' '.join(PACKAGES[name])} into {folder}; is PyPI within reach?")
    return python
