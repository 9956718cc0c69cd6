#!/usr/bin/env python3
"""What one cycle teaches, and what it costs: twelve corrections on the default model.

Counts, all from greedy answers: the corrections as taught (12), asked in other words that no training saw (36), other
questions about the same things that must not get the taught answer (24), and what the base model answers rightly of 50
common questions, siblings of the lessons among them (`kept.jsonl`).

    cargo build --release
    python3 bench/learning/recall/recall.py --seeds 0 1 2 --arms scoped everywhere
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[2]
LESSONS = ROOT / "suites" / "lessons-good.jsonl"
ARMS = {"scoped": [], "everywhere": ["--everywhere"]}


def run(args, *command, check=True):
    """The standard output of one `apprentice` command; exit code 3 is a verdict, no failure."""
    line = [args.apprentice, "--home", args.home, "--device", args.device, "--seed", str(args.seed), *command]
    done = subprocess.run([str(part) for part in line], stdout=subprocess.PIPE, text=True)
    if check and done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(command[:2])}: exit code {done.returncode}")
    return done.stdout


def answers(args, path, *options):
    text = run(args, "complete", "--file", path, "-n", "40", *options)
    return [json.loads(line) for line in text.splitlines()]


def cycle(args, arm):
    """Teaches, learns and counts, in a home of its own."""
    run(args, "teach", "--file", LESSONS, "--trust")
    lines = run(args, "learn", "--json", *ARMS[arm]).splitlines()
    report = json.loads(lines[-1])
    lessons = [json.loads(line) for line in LESSONS.read_text().splitlines()]
    given = iter(answers(args, LESSONS))
    exact = rephrased = 0
    for lesson in lessons:
        exact += next(given)["says"]
        rephrased += sum(next(given)["says"] for _ in lesson["rephrasings"])
    base = answers(args, HERE / "kept.jsonl", "--base")
    now = answers(args, HERE / "kept.jsonl")
    missed = answers(args, HERE / "near-misses.jsonl")
    return {
        "arm": arm,
        "seed": args.seed,
        "verdict": report["verdict"],
        "scale": report["scale"],
        "seconds": round(report["seconds"]),
        "exact": exact,
        "rephrased": rephrased,
        "near_misses_wrong": sum(line["says"] for line in missed),
        "kept": sum(a["says"] for a, b in zip(now, base) if b["says"]),
        "known": sum(line["says"] for line in base),
        "same_answers": sum(a["text"] == b["text"] for a, b in zip(now, base)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apprentice", default=ROOT / "target" / "release" / "apprentice")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["scoped"])
    parser.add_argument("--out", type=pathlib.Path, help="write the rows as JSON, too")
    args = parser.parse_args()
    rows = []
    print("| arm | seed | verdict | exact /12 | rephrased /36 | near-misses wrong /24 | kept | s |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in args.seeds:
        for arm in args.arms:
            with tempfile.TemporaryDirectory() as home:
                args.home, args.seed = home, seed
                row = cycle(args, arm)
            rows.append(row)
            kept = f"{row['kept']} of {row['known']}"
            print(
                f"| {arm} | {seed} | {row['verdict']} at {row['scale']} | {row['exact']} | {row['rephrased']} "
                f"| {row['near_misses_wrong']} | {kept} | {row['seconds']} |",
                flush=True,
            )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
