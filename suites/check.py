#!/usr/bin/env python3
"""Checks the evaluation suites in this folder: counts, fields, spread and distinctness.

It reads files and compares them with the rules in README.md. It knows nothing of models, and it
cannot tell whether an answer is true; people have to. Invariant: every rule below has a planted
fault in `FAULTS`, and `--self-test` fails if any of these goes unnoticed.

Usage: check.py [FOLDER]      prints each fault on a line of its own, exits 1 if there is one
       check.py --self-test   plants each fault in a copy and expects the rule to complain
"""

import json
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent

CORE_ITEMS = 240
CORE_CHOICES = 4
CORE_TOPICS_MIN = 12
CORE_TOPIC_ITEMS_MIN = 15
# 60 expected at each index; 8 is about 1.2 standard deviations of a random draw.
CORE_POSITION_SLACK = 8
CHOICE_WORDS_MAX = 4
# "Pick the longest choice" must stay near chance, which is a quarter of the items.
LONGEST_WINS_MAX = 0.35
TEXTS, TEXT_WORDS_MIN, TEXT_WORDS_MAX = 40, 60, 120
TEXT_TOPICS_MIN = 12
PROMPTS_PER_KIND = 32
LESSONS_GOOD, REPHRASINGS = 12, 3
LESSONS_HARMFUL = 24
GARBAGE_LINES = 40


def normalized(text):
    """Lower case with single spaces, so that duplicates cannot hide behind layout."""
    return " ".join(text.lower().split())


def read_lines(path, faults):
    """The lines of a file, or none and a fault when it is missing or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path.name}: cannot be read: {type(error).__name__}")
        return []


def is_text(value):
    """A string that is not empty and carries no blanks at its ends."""
    return isinstance(value, str) and value != "" and value == value.strip()


def is_texts(value):
    return isinstance(value, list) and all(is_text(item) for item in value)


def is_index(value):
    # `True` is an int in Python; it is not an index.
    return isinstance(value, int) and not isinstance(value, bool)


def read_rows(path, fields, count, faults):
    """The rows that have exactly `fields` (name to test); all others are reported as faults."""
    lines = read_lines(path, faults)
    if len(lines) != count:
        faults.append(f"{path.name}: {len(lines)} lines, expected {count}")
    rows = []
    for number, line in enumerate(lines, 1):
        where = f"{path.name}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            faults.append(f"{where}: not JSON")
            continue
        if not isinstance(row, dict) or set(row) != set(fields):
            faults.append(f"{where}: fields must be {', '.join(fields)}")
            continue
        wrong = [name for name, accepts in fields.items() if not accepts(row[name])]
        if wrong:
            faults.append(f"{where}: bad value in {', '.join(wrong)}")
            continue
        rows.append(row)
    return rows


def check_unique(name, what, values, faults):
    for value, times in Counter(values).items():
        if times > 1:
            faults.append(f"{name}: {what} occurs {times} times: {value}")


def check_core(folder, faults):
    """Multiple choice: fields, choices, topics, and no answer that its place or length betrays."""
    name = "core.jsonl"
    fields = {
        "id": is_text, "topic": is_text, "question": is_text, "choices": is_texts,
        "answer": is_index,
    }
    rows = read_rows(folder / name, fields, CORE_ITEMS, faults)
    check_unique(name, "id", [row["id"] for row in rows], faults)
    check_unique(name, "question", [normalized(row["question"]) for row in rows], faults)
    positions, longest_wins = Counter(), 0.0
    for row in rows:
        choices, answer = row["choices"], row["answer"]
        if len({normalized(choice) for choice in choices}) != CORE_CHOICES:
            faults.append(f"{name}: {row['id']}: needs {CORE_CHOICES} distinct choices")
        if len(choices) != CORE_CHOICES or not 0 <= answer < CORE_CHOICES:
            faults.append(f"{name}: {row['id']}: answer {answer} of {len(choices)} choices")
            continue
        if any(len(choice.split()) > CHOICE_WORDS_MAX for choice in choices):
            faults.append(f"{name}: {row['id']}: a choice has over {CHOICE_WORDS_MAX} words")
        positions[answer] += 1
        length_max = max(map(len, choices))
        if len(choices[answer]) == length_max:
            # A tie is worth its share of a random pick among the longest.
            longest_wins += 1 / sum(len(choice) == length_max for choice in choices)
    for index in range(CORE_CHOICES):
        if abs(positions[index] - CORE_ITEMS / CORE_CHOICES) > CORE_POSITION_SLACK:
            faults.append(f"{name}: answer index {index} is right {positions[index]} times")
    if longest_wins > LONGEST_WINS_MAX * CORE_ITEMS:
        faults.append(f"{name}: the longest choice is right {longest_wins:.0f} times")
    topics = Counter(row["topic"] for row in rows)
    full = sum(items >= CORE_TOPIC_ITEMS_MIN for items in topics.values())
    if full < CORE_TOPICS_MIN:
        faults.append(f"{name}: {full} topics have {CORE_TOPIC_ITEMS_MIN} items or more")
    return rows


def check_language(folder, faults):
    """Plain texts: fields, length in words, and a spread of registers."""
    name = "language.jsonl"
    rows = read_rows(
        folder / name, {"id": is_text, "topic": is_text, "text": is_text}, TEXTS, faults
    )
    check_unique(name, "id", [row["id"] for row in rows], faults)
    check_unique(name, "text", [normalized(row["text"]) for row in rows], faults)
    for row in rows:
        words = len(row["text"].split())
        if not TEXT_WORDS_MIN <= words <= TEXT_WORDS_MAX:
            faults.append(f"{name}: {row['id']}: {words} words")
    topics = len({row["topic"] for row in rows})
    if topics < TEXT_TOPICS_MIN:
        faults.append(f"{name}: only {topics} registers")


def check_refusals(folder, faults):
    """Prompts to refuse and look-alikes to answer, equally many of each."""
    name = "refusals.jsonl"
    fields = {"id": is_text, "kind": ("refuse", "answer").__contains__, "prompt": is_text}
    rows = read_rows(folder / name, fields, 2 * PROMPTS_PER_KIND, faults)
    check_unique(name, "id", [row["id"] for row in rows], faults)
    check_unique(name, "prompt", [normalized(row["prompt"]) for row in rows], faults)
    kinds = Counter(row["kind"] for row in rows)
    if kinds["refuse"] != kinds["answer"]:
        faults.append(f"{name}: {kinds['refuse']} to refuse, {kinds['answer']} to answer")


def check_lessons(folder, core, faults):
    """Lessons: fields, and no prompt that another suite already holds."""
    good_name, harmful_name = "lessons-good.jsonl", "lessons-harmful.jsonl"
    good = read_rows(
        folder / good_name,
        {"prompt": is_text, "answer": is_text, "rephrasings": is_texts},
        LESSONS_GOOD,
        faults,
    )
    harmful = read_rows(
        folder / harmful_name, {"prompt": is_text, "answer": is_text}, LESSONS_HARMFUL, faults
    )
    for row in good:
        if len(row["rephrasings"]) != REPHRASINGS:
            faults.append(f"{good_name}: needs {REPHRASINGS} rephrasings: {row['prompt']}")
    for name, rows in ((good_name, good), (harmful_name, harmful)):
        for row in rows:
            # A period inside the answer would be a second sentence, or an abbreviation.
            if not row["answer"].endswith(".") or ". " in row["answer"]:
                faults.append(f"{name}: the answer must be one sentence: {row['answer']}")
    # Were a lesson an item of core, the core suite would measure the lesson and not its damage.
    prompts = [row["prompt"] for row in good + harmful]
    prompts += [text for row in good for text in row["rephrasings"]]
    prompts += [row["question"] for row in core]
    check_unique("lessons", "prompt", map(normalized, prompts), faults)


def check_garbage(folder, core, faults):
    """Keyboard noise: enough distinct lines, and no word that the questions use."""
    name = "garbage.txt"
    lines = read_lines(folder / name, faults)
    if len(lines) != GARBAGE_LINES:
        faults.append(f"{name}: {len(lines)} lines, expected {GARBAGE_LINES}")
    check_unique(name, "line", lines, faults)
    # Words of three letters arise by chance on a keyboard; longer ones mean real text.
    known = {word.strip('?"') for row in core for word in normalized(row["question"]).split()}
    known = {word for word in known if word.isalpha() and len(word) >= 4}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            faults.append(f"{name}:{number}: empty")
        words = known.intersection(line.lower().split())
        if words:
            faults.append(f"{name}:{number}: holds the word {sorted(words)[0]}")


def check(folder):
    """All faults of the suites in `folder`, as lines of text."""
    faults = []
    core = check_core(folder, faults)
    check_language(folder, faults)
    check_refusals(folder, faults)
    check_lessons(folder, core, faults)
    check_garbage(folder, core, faults)
    return faults


def edit(**changes):
    """A planter that sets fields of the last row; `None` as a value removes the field."""
    def plant(rows):
        row = rows[-1]
        for key, value in changes.items():
            if value is None:
                del row[key]
            else:
                row[key] = value(row) if callable(value) else value
    return plant


def copy_of_first(key):
    def plant(rows):
        rows[-1][key] = rows[0][key].upper() if key != "id" else rows[0][key]
    return plant


def for_all(change):
    def plant(rows):
        for row in rows:
            change(row)
    return plant


def answer_first(row):
    """Moves the right choice to index 0."""
    row["choices"].insert(0, row["choices"].pop(row["answer"]))
    row["answer"] = 0


def stretch_right_choice(row):
    row["choices"][row["answer"]] += "-and-some-more"


def core_question(rows):
    # The first question of core.jsonl, in other case and spacing.
    rows[-1]["prompt"] = "what is the capital of  FRANCE?"


# (file, planter, part of the complaint that the planted fault must raise)
FAULTS = [
    ("core.jsonl", b"{", "core.jsonl:1: not JSON"),
    ("garbage.txt", b"\xff", "cannot be read: UnicodeDecodeError"),
    ("core.jsonl", lambda rows: rows.pop(), "239 lines, expected 240"),
    ("core.jsonl", edit(topic=None), "fields must be"),
    ("core.jsonl", edit(answer=True), "bad value in answer"),
    ("core.jsonl", edit(question=" "), "bad value in question"),
    ("core.jsonl", edit(answer=4), "answer 4 of 4 choices"),
    ("core.jsonl", edit(choices=["a", "A ", "b", "c"]), "bad value in choices"),
    ("core.jsonl", edit(choices=["a", "A", "b", "c"]), "distinct choices"),
    ("core.jsonl", edit(choices=["a b c d e", "b", "c", "d"]), "over 4 words"),
    ("core.jsonl", for_all(answer_first), "answer index 0 is right 240 times"),
    ("core.jsonl", for_all(stretch_right_choice), "the longest choice is right"),
    ("core.jsonl", for_all(lambda row: row.update(topic="one")), "1 topics have"),
    ("core.jsonl", copy_of_first("id"), "id occurs 2 times"),
    ("core.jsonl", copy_of_first("question"), "question occurs 2 times"),
    ("language.jsonl", lambda rows: rows.pop(), "39 lines, expected 40"),
    ("language.jsonl", edit(text="too short"), "2 words"),
    ("language.jsonl", edit(text="word " * 120 + "word"), "121 words"),
    ("language.jsonl", copy_of_first("id"), "id occurs 2 times"),
    ("language.jsonl", copy_of_first("text"), "text occurs 2 times"),
    ("language.jsonl", for_all(lambda row: row.update(topic="one")), "only 1 registers"),
    ("refusals.jsonl", lambda rows: rows.pop(), "63 lines, expected 64"),
    ("refusals.jsonl", edit(kind="maybe"), "bad value in kind"),
    ("refusals.jsonl", edit(kind="refuse"), "33 to refuse, 31 to answer"),
    ("refusals.jsonl", copy_of_first("id"), "id occurs 2 times"),
    ("refusals.jsonl", copy_of_first("prompt"), "prompt occurs 2 times"),
    ("lessons-good.jsonl", lambda rows: rows.pop(), "11 lines, expected 12"),
    ("lessons-good.jsonl", edit(rephrasings=["one"]), "needs 3 rephrasings"),
    ("lessons-good.jsonl", edit(answer="One. Two."), "must be one sentence"),
    ("lessons-good.jsonl", edit(prompt=lambda row: row["rephrasings"][0]), "prompt occurs 2"),
    ("lessons-harmful.jsonl", lambda rows: rows.pop(), "23 lines, expected 24"),
    ("lessons-harmful.jsonl", edit(answer="no period"), "must be one sentence"),
    ("lessons-harmful.jsonl", core_question, "prompt occurs 2 times"),
    ("garbage.txt", lambda lines: lines.pop(), "39 lines, expected 40"),
    ("garbage.txt", lambda lines: lines.__setitem__(-1, lines[0]), "line occurs 2 times"),
    ("garbage.txt", lambda lines: lines.__setitem__(-1, ""), "40: empty"),
    ("garbage.txt", lambda lines: lines.__setitem__(-1, "qwrt capital"), "the word capital"),
]


def plant_fault(path, plant):
    """Rewrites a file with one fault in it; rows of JSON reach `plant` decoded.

    Bytes in place of a function become the whole file.
    """
    if isinstance(plant, bytes):
        path.write_bytes(plant)
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    if path.suffix == ".jsonl":
        rows = [json.loads(line) for line in lines]
        plant(rows)
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    else:
        plant(lines)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def self_test():
    """Plants every fault in a fresh copy; returns how many went unnoticed."""
    missed = len(check(HERE))
    if missed:
        print("the suites have faults of their own; run without --self-test")
    for name, plant, complaint in FAULTS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "suites"
            shutil.copytree(HERE, folder)
            plant_fault(folder / name, plant)
            found = [line for line in check(folder) if complaint in line]
        # The complaint must name the file, or the shared pool of prompts.
        if not any(line.startswith((name, "lessons:")) for line in found):
            missed += 1
            print(f"missed in {name}: {complaint}")
    print(f"{len(FAULTS)} faults planted, {missed} missed")
    return missed


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: check.py [FOLDER | --self-test]", file=sys.stderr)
        return 2
    faults = check(Path(arguments[0]) if arguments else HERE)
    for fault in faults:
        print(fault)
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
