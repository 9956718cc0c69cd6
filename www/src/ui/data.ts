/**
 * The Data panel: everything that is stored, readable and deletable, and a place to drop files.
 *
 * It knows nothing of how examples are used. Invariant: what is listed here is all that is kept.
 */

import type { App } from "../app";
import type { Example } from "../engine/contract";
import { lessonsOf } from "../imports";
import { h, icon, pickFiles } from "./dom";
import { plural, when } from "./format";

const KINDS: Record<Example["kind"], string> = {
  correction: "Correction",
  approval: "Approved",
  document: "Document",
  synthetic: "Made up",
  anchor: "Anchor",
};
/** More rows at once would make the page slow; the rest comes on request. */
const SHOWN_AT_ONCE = 60;

export function dataPanel(app: App): HTMLElement {
  const list = h("ul", { class: "examples", "aria-label": "Stored examples" });
  const lead = h("p", { class: "lead" });
  const more = h("button", { class: "wide" });
  let shown = SHOWN_AT_ONCE;
  const show = () => {
    const examples = [...app.examples.value].sort((a, b) => b.created_ms - a.created_ms);
    lead.textContent =
      examples.length === 0
        ? "Nothing is stored yet. What you teach is kept here, on this device only."
        : `${plural(examples.length, "example")} on this device. Read them, or delete them.`;
    const locked = app.learning.value;
    list.replaceChildren(...examples.slice(0, shown).map((example) => row(app, example, locked)));
    more.hidden = examples.length <= shown;
    more.textContent = `Show ${Math.min(SHOWN_AT_ONCE, examples.length - shown)} more`;
  };
  more.addEventListener("click", () => {
    shown += SHOWN_AT_ONCE;
    show();
  });
  app.examples.watch(show);
  app.learning.watch(show);
  return h(
    "section",
    { class: "panel panel-data", "aria-label": "Data" },
    h("h2", { class: "panel-title" }, "Data"),
    lead,
    dropZone(app),
    list,
    more,
  );
}

function dropZone(app: App): HTMLElement {
  const take = (files: File[]) => void importFiles(app, files);
  const zone = h(
    "div",
    { class: "drop" },
    icon("file"),
    h("p", {}, "Drop notes, code or a .jsonl of lessons"),
    h(
      "button",
      {
        class: "small",
        onclick: () => void pickFiles({ accept: "", multiple: true }).then(take),
      },
      "Choose files",
    ),
  );
  // The whole window takes files: a file that misses the zone must not replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) zone.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take([...(event.dataTransfer?.files ?? [])]);
  });
  return zone;
}

async function importFiles(app: App, files: File[]): Promise<void> {
  const model = files.find(({ name }) => name.endsWith(".gguf"));
  if (model) {
    await app.loader.load({ kind: "file", file: model });
    return;
  }
  if (files.length === 0 || app.loader.stage.value.name !== "ready") return;
  try {
    const lessons = (await Promise.all(files.map(lessonsOf))).flat();
    app.view.value = "data";
    await app.teach(lessons);
  } catch (error) {
    app.fail(error);
  }
}

function row(app: App, example: Example, locked: boolean): HTMLElement {
  const { kind, prompt, answer, text, source, created_ms, uses, learned, set_aside } = example;
  const title = prompt || source || KINDS[kind];
  const facts = [
    source && `from ${source}`,
    when(created_ms),
    uses > 0 && `used ${plural(uses, "time")}`,
  ];
  const body = h("p", { class: "example-a" }, answer || text);
  return h(
    "li",
    { class: "example", "aria-label": title.slice(0, 80) },
    h(
      "div",
      { class: "example-head" },
      h("span", { class: "chip" }, KINDS[kind] ?? kind),
      h("span", { class: learned ? "chip accent" : "chip" }, standing(example)),
      deletion(app, example, title, locked),
    ),
    h("p", { class: "example-q" }, title),
    body,
    set_aside !== null && h("p", { class: "example-why" }, `Not learned: ${set_aside}`),
    h(
      "p",
      { class: "quiet-text" },
      facts.filter((fact) => fact !== false && fact !== "").join(" · "),
    ),
  );
}

function standing({ learned, set_aside }: Example): string {
  if (learned) return "Learned";
  return set_aside === null ? "Waiting" : "Set aside";
}

/** Asks once more before deleting: what was deleted cannot be brought back. */
function deletion(app: App, example: Example, title: string, locked: boolean): HTMLElement {
  const place = h("span", { class: "deletion" });
  const ask = h(
    "button",
    { class: "icon-button", disabled: locked, "aria-label": `Delete “${title.slice(0, 60)}”` },
    icon("trash"),
  );
  const sure = h("button", { class: "small danger" }, "Delete");
  const keep = h("button", { class: "small" }, "Keep");
  ask.addEventListener("click", () => {
    place.replaceChildren(sure, keep);
    keep.focus();
  });
  keep.addEventListener("click", () => {
    place.replaceChildren(ask);
    ask.focus();
  });
  sure.addEventListener("click", () => {
    sure.disabled = true;
    void app.deleteExample(example.id).then((done) => (sure.disabled = done));
  });
  place.append(ask);
  return place;
}
