/**
 * The Versions panel: the time line of versions and of what did not become one, newest first.
 *
 * It knows nothing of adapters. Invariant: exactly one entry is marked as the one that answers, and
 * every cycle that ended is on the line with its reason.
 */

import { unpackVersion, packVersion } from "../adapter-file";
import type { App } from "../app";
import { short } from "../app";
import type { AdapterForm, JournalEntry, Version } from "../engine/contract";
import { saveFile } from "../save";
import { showDialog } from "./dialog";
import { h, icon, pickFiles } from "./dom";
import { plural, sentence, VERDICTS, when } from "./format";
import { suitesTable } from "./suites";
import { versionsComparison } from "./versions-compare";

/** What `rollback` takes for the model without an adapter. */
const BASE = "base";
/** Older lines without a version are left to the file that the Data panel exports. */
const LINES_MAX = 30;
const LESSONS_SHOWN_MAX = 12;

export function versionsPanel(app: App): HTMLElement {
  const list = h("ol", { class: "history", "aria-label": "History" });
  const show = () => list.replaceChildren(...entries(app));
  for (const signal of [app.versions, app.info, app.learning, app.journal]) signal.watch(show);
  const warnings = h("ul", { class: "warnings", "aria-label": "Warnings" });
  app.info.watch((info) => {
    const texts = info?.warnings ?? [];
    warnings.hidden = texts.length === 0;
    warnings.replaceChildren(...texts.map((text) => h("li", {}, sentence(text))));
  });
  const bring = h("button", { class: "small", onclick: () => void importFile(app) });
  bring.append(icon("open"), "Import a version");
  return h(
    "section",
    { class: "panel panel-versions", "aria-label": "Versions" },
    h("h2", { class: "panel-title" }, "Versions"),
    h(
      "p",
      { class: "lead" },
      "Each time it learns and passes its exam, a version is added. You can always go back.",
    ),
    warnings,
    versionsComparison(app),
    list,
    bring,
  );
}

/** Versions and what happened besides, by time. */
function entries(app: App): HTMLElement[] {
  const versions = app.versions.value;
  const known = new Set(versions.map(({ id }) => id));
  const lines = app.journal.value.filter(({ action, to, report }) => {
    const made = action === "cycle" && report?.verdict === "promoted" && to && known.has(to);
    return !made;
  });
  const items = [
    ...versions.map((version) => ({ at_ms: version.created_ms, element: entry(app, version) })),
    ...lines.slice(-LINES_MAX).map((line) => ({ at_ms: line.at_ms, element: happened(line) })),
  ].sort((a, b) => b.at_ms - a.at_ms);
  const head = !versions.some(({ head }) => head);
  return [...items.map(({ element }) => element), baseEntry(app, head)];
}

function entry(app: App, version: Version): HTMLElement {
  const name = `Version ${short(version.id)}`;
  const facts = [when(version.created_ms), plural(version.examples.length, "lesson")];
  if (version.scale !== 1) facts.push(`at ${Math.round(version.scale * 100)} % strength`);
  const suites = Object.keys(version.suites).length > 0 && suitesTable(version.suites);
  const save = h(
    "button",
    { class: "small", "aria-label": `Export ${name}` },
    icon("save"),
    "Export",
  );
  save.addEventListener("click", () => exportDialog(app, version));
  return h(
    "li",
    { class: version.head ? "entry current" : "entry", "aria-label": name },
    h(
      "div",
      { class: "entry-head" },
      h("h3", {}, name),
      version.head && answersNow(),
      ...version.tags.map((tag) => tagChip(app, tag)),
    ),
    h("p", { class: "quiet-text" }, facts.join(" · ")),
    version.note !== "" && h("p", { class: "entry-note" }, sentence(version.note)),
    lessonsOf(app, version),
    suites && h("details", { class: "exam", open: version.head }, h("summary", {}, "Exam"), suites),
    h("div", { class: "actions" }, ...ways(app, version, name), naming(app, version, name), save),
  );
}

/** A name that a person gave, and the way to take it away. */
function tagChip(app: App, tag: string): HTMLElement {
  const away = h("button", { class: "chip-button", "aria-label": `Take the name ${tag} away` });
  away.append(icon("close"));
  away.addEventListener("click", () => void app.untag(tag));
  return h("span", { class: "chip tag" }, tag, away);
}

function naming(app: App, version: Version, name: string): HTMLElement {
  const button = h(
    "button",
    { class: "small", disabled: app.learning.value, "aria-label": `Name it: ${name}` },
    icon("pencil"),
    "Name it",
  );
  button.addEventListener("click", () =>
    showDialog(`Name version ${short(version.id)}`, (close) => {
      const field = h("input", { "aria-label": "Name", maxlength: 64, autofocus: true });
      const form = h(
        "form",
        { class: "naming" },
        h("p", {}, "A version with a name is kept, however long the history grows."),
        field,
        h("button", { class: "primary" }, "Give this name"),
      );
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        void app.tag(field.value.trim(), version.id).then((done) => done && close());
      });
      return [form];
    }),
  );
  return button;
}

/** How a version comes to answer: by going back to it, or, from elsewhere, by an exam beside what answers. */
function ways(app: App, version: Version, name: string): HTMLElement[] {
  if (version.head) return [];
  if (!version.origin) return [rollback(app, version.id, name)];
  const button = h(
    "button",
    { class: "small", disabled: app.learning.value, "aria-label": `Examine and take in: ${name}` },
    icon("open"),
    "Examine and take in",
  );
  button.addEventListener("click", () => void app.adopt(version.id));
  return [button];
}

/** What a version learned from, as far as it is still kept. */
function lessonsOf(app: App, version: Version): HTMLElement | false {
  const ids = new Set(version.examples);
  const examples = app.examples.value.filter(({ id }) => ids.has(id));
  if (examples.length === 0) return false;
  const shown = examples.slice(0, LESSONS_SHOWN_MAX);
  const rows = shown.map(({ prompt, text, source }) =>
    h("li", {}, (prompt || text || source).slice(0, 120)),
  );
  const more = examples.length - shown.length;
  if (more > 0) rows.push(h("li", { class: "note" }, `and ${more} more`));
  return h(
    "details",
    { class: "exam" },
    h("summary", {}, "Learned from"),
    h("ul", { class: "learned-from" }, ...rows),
  );
}

const ACTIONS: Record<string, string> = {
  stopped: "Stopped",
  failed: "Failed",
  rollback: "Went back",
  delete: "Deleted an example",
  fallback: "Damage was found",
  tag: "Named a version",
  branch: "Began a branch",
  checkout: "Changed to another version",
  merge: "Merged two versions",
  forget: "Forgot an example",
  import: "Imported a version",
  release: "Let an example in",
};

/** A line without a version: a cycle that was held or turned down, a rollback, damage. */
function happened({ action, at_ms, note, report }: JournalEntry): HTMLElement {
  const verdict = report && VERDICTS[report.verdict];
  const title = verdict ? verdict.title : (ACTIONS[action] ?? action);
  return h(
    "li",
    { class: `entry line ${report?.verdict ?? action}` },
    h("h3", {}, title),
    h("p", { class: "quiet-text" }, when(at_ms)),
    note !== "" && h("p", { class: "entry-note" }, sentence(note)),
  );
}

function baseEntry(app: App, head: boolean): HTMLElement {
  const name = "Base model";
  return h(
    "li",
    { class: head ? "entry current" : "entry", "aria-label": name },
    h("div", { class: "entry-head" }, h("h3", {}, name), head && answersNow()),
    h("p", { class: "quiet-text" }, `${app.info.value?.model ?? ""}, as it came`),
    !head && rollback(app, BASE, name),
  );
}

function answersNow(): HTMLElement {
  return h("span", { class: "chip accent" }, "Answers now");
}

function rollback(app: App, version: string, name: string): HTMLElement {
  const button = h(
    "button",
    {
      class: "small",
      disabled: app.learning.value,
      "aria-label": `Roll back to this: ${name}`,
    },
    icon("back"),
    "Roll back to this",
  );
  button.addEventListener("click", () => {
    button.disabled = true;
    void app.rollback(version).then((done) => (button.disabled = done));
  });
  return button;
}

function exportDialog(app: App, version: Version): void {
  const save = async (form: AdapterForm) => {
    const info = app.info.value;
    if (!info) return;
    try {
      const bytes = await app.call("exportVersion", { version: version.id, form });
      const name = `${info.model}-${short(version.id)}`;
      if (form === "gguf") saveFile(`${name}-lora.gguf`, new Blob([bytes]));
      else if (form === "peft") saveFile(`${name}-peft.zip`, new Blob([bytes]));
      else saveFile(`${name}.apprentice`, await packVersion(info, version, bytes));
    } catch (error) {
      app.fail(error);
    }
  };
  showDialog(`Export version ${short(version.id)}`, (close) => {
    const button = (form: AdapterForm, name: string) =>
      h("button", { onclick: () => void save(form).finally(close) }, icon("save"), name);
    return [
      h("p", {}, "The adapter alone, a few megabytes: whoever has the same base model can use it."),
      h(
        "div",
        { class: "actions" },
        button("adapter", "For Apprentice"),
        button("gguf", "For llama.cpp"),
        button("peft", "For PEFT"),
      ),
    ];
  });
}

async function importFile(app: App): Promise<void> {
  const [file] = await pickFiles({ accept: ".apprentice,.gguf,.zip", multiple: false });
  const info = app.info.value;
  if (!file || !info) return;
  try {
    const { bytes, note } = await unpackVersion(info, file);
    await app.importVersion(bytes, note);
  } catch (error) {
    app.fail(error);
  }
}
