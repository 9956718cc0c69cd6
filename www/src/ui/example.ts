/**
 * One stored example: what it says, where it came from, what it was used for, and changing it.
 *
 * It knows nothing of the others. Invariant: a changed example takes the old one's place in one call,
 * or where it cannot, the old one goes only after the new one is kept.
 */

import { short, type App } from "../app";
import type { Example, Lesson } from "../engine/contract";
import { h, icon } from "./dom";
import { plural, when } from "./format";

const KINDS: Record<Example["kind"], string> = {
  correction: "Correction",
  approval: "Approved",
  document: "Document",
  synthetic: "Made up",
  anchor: "Anchor",
};

const FORGETTING = "What was learned after it is learned again without it, cycle by cycle";

export function exampleRow(app: App, example: Example): HTMLElement {
  const { id, kind, prompt, answer, text, source, created_ms, uses, learned, set_aside } = example;
  const title = prompt || source || KINDS[kind];
  const versions = app.versions.value.filter(({ examples }) => examples.includes(id));
  const facts = [
    source && `from ${source}`,
    when(created_ms),
    uses > 0 && `used ${plural(uses, "time")}`,
    versions.length > 0 && `in ${versions.map((version) => short(version.id)).join(", ")}`,
  ];
  const item = h("li", { class: "example", "aria-label": title.slice(0, 80) });
  const release = h("button", { class: "small" }, "Learn it anyway");
  release.addEventListener("click", () => void app.releaseExample(id));
  item.append(
    h(
      "div",
      { class: "example-head" },
      h("span", { class: "chip" }, KINDS[kind] ?? kind),
      h("span", { class: learned ? "chip accent" : "chip" }, standing(example)),
      tools(app, example, title, item),
    ),
    h("p", { class: "example-q" }, title),
    h("p", { class: "example-a" }, answer || text),
  );
  if (set_aside !== null) {
    item.append(h("p", { class: "example-why" }, `Not learned: ${set_aside}`), release);
  }
  const told = facts.filter((fact) => fact !== false && fact !== "").join(" · ");
  item.append(h("p", { class: "quiet-text" }, told));
  return item;
}

function standing({ learned, set_aside }: Example): string {
  if (learned) return "Learned";
  return set_aside === null ? "Waiting" : "Set aside";
}

/** Asks once more before deleting: what was deleted cannot be brought back. */
function tools(app: App, example: Example, title: string, item: HTMLElement): HTMLElement {
  const place = h("span", { class: "deletion" });
  const named = `“${title.slice(0, 60)}”`;
  // What learned from it still knows it: deleting the text alone would not be forgetting.
  const saw = app.versions.value.some(({ examples }) => examples.includes(example.id));
  const word = saw ? "Forget" : "Delete";
  const locked = { class: "icon-button", disabled: app.learning.value };
  const edit = h("button", { ...locked, "aria-label": `Change ${named}` }, icon("pencil"));
  const ask = h("button", { ...locked, "aria-label": `${word} ${named}` }, icon("trash"));
  const sure = h("button", { class: "small danger" }, word);
  const keep = h("button", { class: "small" }, "Keep");
  edit.addEventListener("click", () => change(app, example, item));
  ask.addEventListener("click", () => {
    place.replaceChildren(sure, keep);
    if (saw) item.append(h("p", { class: "example-why forgetting" }, `${FORGETTING}.`));
    keep.focus();
  });
  keep.addEventListener("click", () => {
    place.replaceChildren(edit, ask);
    item.querySelector(".forgetting")?.remove();
    ask.focus();
  });
  sure.addEventListener("click", () => {
    sure.disabled = true;
    if (saw) void app.forget(example.id);
    else void app.deleteExample(example.id).then((done) => (sure.disabled = done));
  });
  place.append(edit, ask);
  return place;
}

function change(app: App, example: Example, item: HTMLElement): void {
  const area = h("textarea", { class: "editor", "aria-label": "Changed example", rows: 3 });
  area.value = example.answer || example.text;
  const keep = h("button", { class: "primary" }, "Keep the change");
  const leave = () => item.replaceWith(exampleRow(app, example));
  const cancel = h("button", { class: "quiet", onclick: leave }, "Cancel");
  keep.addEventListener("click", () => {
    const text = area.value.trim();
    if (text === "") return area.focus();
    keep.disabled = true;
    void keepChange(app, example, text).then((done) => (keep.disabled = done));
  });
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    leave();
  });
  const question = h("p", { class: "example-q" }, example.prompt || example.source);
  item.replaceChildren(question, area, h("div", { class: "actions" }, keep, cancel));
  area.focus();
}

async function keepChange(app: App, example: Example, text: string): Promise<boolean> {
  const { id, messages, source, rejected } = example;
  const lesson: Lesson =
    messages.length === 0
      ? { kind: "document", text, source }
      : {
          kind: "correction",
          messages: [...messages.slice(0, -1), { role: "assistant", content: text }],
          source,
          ...(rejected === null ? {} : { rejected }),
        };
  if (!(await app.teach([lesson]))) return false;
  // The engine puts another answer in the old one's place by itself; another text stands beside it.
  const still = app.examples.value.some((other) => other.id === id);
  return !still || messages.length > 0 || app.deleteExample(id);
}
