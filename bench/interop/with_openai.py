#!/usr/bin/env python3
"""The official `openai` package against `apprentice serve`: what an existing client does works here, unchanged.

    cargo xtask interop openai     # or: cargo build --release && python3 bench/interop/with_openai.py

It makes a virtual environment under target/peers/ with `openai` from PyPI, starts the real server on a port and a home of
their own, and goes through chat, streaming, JSON of a schema, models, feedback and refusals; a version is made and put into the home while the
server runs. Each line that it prints is a thing that a client asked for; it exits 1 at the first that is not as it should be.
"""
import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from environment import ROOT, python_of

MODEL = Path.home() / ".cache/apprentice/SmolLM2-135M-Instruct.Q4_1.gguf"
ASKED = [{"role": "user", "content": "Who maintains the Brindle library?"}]


def check(what, good, found=None):
    print(f"{'ok   ' if good else 'WRONG'} {what}", flush=True)
    if not good:
        sys.exit(f"found: {found}")


class Bench:
    """A model, a home, and the command over both."""

    def __init__(self, args, folder):
        self.binary, self.model, self.folder = args.binary, args.model, folder
        self.home = folder / "home"

    def command(self, *parts):
        common = ["--model", self.model, "--home", self.home, "--device", "cpu", "--json"]
        return [str(part) for part in [self.binary, *parts, *common]]

    def run(self, *parts):
        done = subprocess.run(self.command(*parts), capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, parts))}: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    @contextmanager
    def server(self):
        process = subprocess.Popen(self.command("serve", "--port", 0), stdout=subprocess.PIPE, text=True)
        try:
            yield json.loads(process.stdout.readline())["url"] + "/v1"
        finally:
            process.kill()
            process.wait()

    def version(self):
        """A version that was trained, put into the home by other processes."""
        data, out = self.folder / "chat.jsonl", self.folder / "adapter"
        answer = {"role": "assistant", "content": "The Brindle library is maintained by Oona Faraday."}
        data.write_text(json.dumps({"messages": ASKED + [answer]}) + "\n")
        self.run("train", "--data", data, "--out", out, "--steps", 16, "--batch", 1, "--rank", 4, "--lr", "1e-2")
        return self.run("import", out)[0]["version"]


def chat(client):
    asked = {"model": "apprentice", "messages": ASKED, "temperature": 0, "max_tokens": 24, "seed": 7}
    whole = client.chat.completions.create(**asked)
    text = whole.choices[0].message.content
    check("a chat is answered", whole.object == "chat.completion" and text, whole)
    usage = whole.usage
    check("what was used is counted", usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage)
    check("an answer says why it ended", whole.choices[0].finish_reason in ("stop", "length"), whole)
    stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    check("a stream says the same", "".join(pieces) == text and len(pieces) > 2, pieces)
    check("a stream's last chunk counts the same", chunks[-1].usage.total_tokens == usage.total_tokens, chunks[-1])
    stop = text[len(text) // 2]
    cut = client.chat.completions.create(**asked, stop=[stop]).choices[0]
    check("a stop sequence ends it", cut.message.content == text[: text.index(stop)].strip() and cut.finish_reason == "stop", cut)
    drawn = [client.chat.completions.create(**{**asked, "temperature": 1.5, "seed": seed}) for seed in (1, 1, 2)]
    one, again, other = [answer.choices[0].message.content for answer in drawn]
    check("a seed is a text", one == again and one != other, drawn)
    left = client.chat.completions.create(**{**asked, "max_tokens": 2000}, stream=True)
    next(iter(left))
    left.close()
    check("a client that left stops nobody", client.chat.completions.create(**asked).choices[0].message.content == text)
    return whole


async def several(url):
    import openai

    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
        asked = {"model": "base", "messages": ASKED, "temperature": 0, "max_tokens": 8}
        answers = await asyncio.gather(*[client.chat.completions.create(**asked) for _ in range(6)])
    texts = {answer.choices[0].message.content for answer in answers}
    check("several at a time are answered alike", len(texts) == 1, texts)


def refusals(client, openai):
    asked = {"model": "apprentice", "messages": ASKED, "max_tokens": 4}
    for name, value in [("frequency_penalty", 0.5), ("n", 2), ("logprobs", True), ("response_format", {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "text"}}}),
                        ("tools", [{"type": "function", "function": {"name": "f"}}])]:
        try:
            client.chat.completions.create(**asked, **{name: value})
            check(f"{name} is refused", False)
        except openai.BadRequestError as error:
            check(f"{name} is refused by its name", error.param == name, error)
    try:
        client.chat.completions.create(**{**asked, "model": "gpt-4o"})
        check("a model that is not here is refused", False)
    except openai.NotFoundError as error:
        check("a model that is not here is not found", error.code == "model_not_found", error)


def models(bench, client):
    names = [model.id for model in client.models.list()]
    check("HEAD and the base model are listed", names == ["apprentice", "base"], names)
    version = bench.version()
    bench.run("tag", "oona", version)
    names = [model.id for model in client.models.list()]
    check("a new version is listed without a restart", names == ["apprentice", "base", "oona", version], names)
    check("a name says its version", client.models.retrieve("oona").version == version)
    asked = {"messages": ASKED, "temperature": 0, "max_tokens": 24}
    by = {name: client.chat.completions.create(model=name, **asked) for name in ["base", "oona", version]}
    check("an answer says which version gave it", [by["oona"].model, by["base"].model] == [version, "base"], by)
    texts = {name: answer.choices[0].message.content for name, answer in by.items()}
    check("a version answers otherwise than the base model", texts["oona"] == texts[version] != texts["base"], texts)


def forms(client, jsonschema):
    bird = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99},
            "kind": {"enum": ["owl", "hen"]}}, "required": ["name", "age", "kind"], "additionalProperties": False}
    nest = {"type": "array", "items": {"$ref": "#/$defs/bird"}, "minItems": 1, "maxItems": 2, "$defs": {"bird": bird}}
    for name, schema in [("an object", bird), ("a list of objects", nest)]:
        for seed, streams in [(0, False), (1, False), (2, True)]:
            format = {"type": "json_schema", "json_schema": {"name": "birds", "strict": True, "schema": schema}}
            answer = client.chat.completions.create(
                model="apprentice", messages=ASKED, response_format=format, temperature=1.0, seed=seed, stream=streams)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer) if streams else answer.choices[0].message.content
            jsonschema.validate(json.loads(text), schema)
            check(f"{name} fits its schema: {' '.join(text.split())}", True)
    any_object = client.chat.completions.create(
        model="base", messages=ASKED, response_format={"type": "json_object"}, temperature=0, max_tokens=200).choices[0]
    whole = any_object.finish_reason == "length" or isinstance(json.loads(any_object.message.content), dict)
    check("json_object is an object", whole and any_object.message.content.startswith("{"), any_object)


def feedback(bench, client, answer):
    wanted = {"completion_id": answer.id, "correction": "Oona Faraday maintains it."}
    told = client.post("/feedback", body=wanted, cast_to=object)
    check("a correction is taken", told["kind"] == "correction" and told["pending"] == 1, told)
    said = {"messages": [{"role": "user", "content": "Is it open?"}], "answer": "Yes.", "approved": True}
    told = client.post("/feedback", body=said, cast_to=object)
    check("an approval is taken", told["kind"] == "approval" and told["pending"] == 2, told)
    kept = {example["kind"]: example for example in bench.run("examples")}
    check("both are examples that came over HTTP", {kept[kind]["source"] for kind in kept} == {"http"}, kept)
    check("the correction remembers what it replaces", kept["correction"]["rejected"] == answer.choices[0].message.content, kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL, help="a GGUF [default: the default model]")
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/apprentice")
    args = parser.parse_args()
    for path, hint in [(args.model, "cargo xtask model"), (args.binary, "cargo build --release")]:
        if not path.exists():
            sys.exit(f"{path} is not there; run `{hint}`")
    try:
        import jsonschema
        import openai
    except ImportError:
        # A Python finds its environment by the name that it was started under, so the name is the whole path.
        python = str(python_of("openai"))
        if sys.executable == python:
            raise
        os.execv(python, [python, *sys.argv])
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args, Path(folder))
        with bench.server() as url:
            client = openai.OpenAI(base_url=url, api_key="none")
            print(f"openai {openai.__version__} and {args.model.name}", flush=True)
            answer = chat(client)
            asyncio.run(several(url))
            refusals(client, openai)
            forms(client, jsonschema)
            models(bench, client)
            feedback(bench, client, answer)


main()
