#!/usr/bin/env bash
# Prints which share of a cycle's time the gate takes: HEAD's examination and the candidate's, beside preparing and training.
#
# Two cycles of lessons from suites/lessons-good.jsonl in a home that is thrown away. In the second one HEAD is no base model any
# more, so its scores come from the cache and the base model's do, too. Arguments go to `apprentice learn`: --quick, --steps 20.
set -euo pipefail
apprentice=${APPRENTICE:-target/release/apprentice}
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
ask() { "$apprentice" --home "$home" --device cpu "$@"; }
lessons=$(dirname "$0")/../../suites/lessons-good.jsonl
for cycle in 1 2; do
    sed -n "$((cycle * 3 - 2)),$((cycle * 3))p" "$lessons" >"$home/lessons.jsonl"
    ask teach --file "$home/lessons.jsonl" >"$home/taught"
    # A candidate that is not promoted (exit code 3) was examined as well.
    ask --json learn "$@" >"$home/events" || [ $? = 3 ]
    tail -n 1 "$home/events" | python3 -c 'import json, sys
report = json.load(sys.stdin)
phases = report["phases"]
gate, whole = sum(phases.get(name, 0) for name in ("head", "evaluate")), sum(phases.values())
parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(phases.items()))
verdict = report["verdict"]
print(f"cycle {sys.argv[1]}: {verdict}; {parts} s; the gate {100 * gate / whole:.0f} % of {whole:.1f} s")' "$cycle"
done
