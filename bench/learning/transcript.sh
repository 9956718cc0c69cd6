#!/usr/bin/env bash
# Prints what the history of a home says: log --graph, show, diff, bisect, audit, and then forget with an audit behind it.
#
# Everything runs on a copy of the home, so the home itself stays as it is. Each command is printed before its output, with its
# exit code behind it; one that fails ends the transcript.
set -euo pipefail

usage() {
    echo "usage: $0 HOME [--apprentice FILE] [--model FILE] [--suites DIR] [--item ID] [--back N] [--full]" >&2
    echo "  --item   what bisect looks for: an example's id or a suite's item   [the oldest lesson that HEAD lost]" >&2
    echo "  --back   forget what HEAD~N learned, which runs N and one cycles again   [2]" >&2
    echo "  --full   all lines of log and audit, not the first and last twelve" >&2
    exit 2
}

[ $# -ge 1 ] || usage
from=$1
shift
apprentice=target/release/apprentice model=() suites=() item= back=2 full=
while [ $# -gt 0 ]; do
    case $1 in
        --apprentice) apprentice=$2; shift 2 ;;
        --model) model=(--model "$2"); shift 2 ;;
        --suites) suites=(--suites "$2"); shift 2 ;;
        --item) item=$2; shift 2 ;;
        --back) back=$2; shift 2 ;;
        --full) full=1; shift ;;
        *) usage ;;
    esac
done
[ -e "$from/apprentice.db" ] || { echo "$from is no home" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
copy=$work/home
cp -a "$from" "$copy"

ask() { "$apprentice" --home "$copy" --device cpu "${model[@]}" "$@"; }

# Prints a command and what it says; long outputs in short, unless all is wanted.
tell() {
    local out="$work/out" code=0
    printf '\n$ apprentice %s\n' "$*"
    ask "$@" >"$out" 2>"$out.err" || code=$?
    # Which item bisect can look for is found by asking: that HEAD gets it right is an answer, too.
    [ "$code" = 1 ] && [ "$1" = bisect ] && { cat "$out.err"; return; }
    if [ -n "$full" ] || [ "$(wc -l <"$out")" -le 26 ]; then
        cat "$out"
    else
        head -n 12 "$out"
        printf '… %s lines …\n' "$(($(wc -l <"$out") - 24))"
        tail -n 12 "$out"
    fi
    [ "$code" = 0 ] || { cat "$out.err"; printf '[exit code %s]\n' "$code"; exit "$code"; }
}

# A field of a command's JSON.
pick() { python3 -c 'import json, sys
lines = [json.loads(line) for line in sys.stdin if line.strip()]
print(eval(sys.argv[1], {"lines": lines}) or "")' "$1"; }

oldest=$(ask --json log | pick 'lines[-1]["id"]')
if [ -z "$item" ]; then
    # The first of the lessons, from the oldest on, that HEAD does not say any more; else the last that was tried.
    for item in $(ask --json log | pick '"\n".join([i for v in reversed(lines) for i in v["learned"]][:24])'); do
        ask bisect "$item" "${suites[@]}" >"$work/out" 2>&1 && break
    done
fi
tell log --graph
tell show HEAD
tell diff "$oldest" HEAD
tell bisect "$item" "${suites[@]}"
tell audit
gone=$(ask --json show "HEAD~$back" | pick '(lines[0].get("version") or lines[0])["learned"][0]')
tell forget "$gone" "${suites[@]}"
tell log --graph
tell audit
printf '\nthe forgotten example is listed %s times\n' "$(ask examples 2>/dev/null | grep -c "${gone:0:12}" || true)"
