/**
 * The Versions panel: the adapter history, newest first, down to the base model.
 *
 * It knows nothing of adapters. Invariant: exactly one entry is marked as the one that answers.
 */

import type { App } from "../app";
import { short } from "../app";
import type { Version } from "../engine/contract";
import { h, icon } from "./dom";
import { plural, when } from "./format";
import { suitesTable } from "./suites";

/** What `rollback` takes for the model without an adapter. */
const BASE = "base";

export function versionsPanel(app: App): HTMLElement {
  const list = h("ol", { class: "history", "aria-label": "History" });
  const show = () => {
    const versions = app.versions.value;
    const locked = app.learning.value;
    const entries = versions.map((version) => entry(app, version, locked));
    list.replaceChildren(...entries, baseEntry(app, !versions.some(({ head }) => head), locked));
  };
  app.versions.watch(show);
  app.info.watch(show);
  const warnings = h("ul", { class: "warnings", "aria-label": "Warnings" });
  app.info.watch((info) => {
    const texts = info?.warnings ?? [];
    warnings.hidden = texts.length === 0;
    warnings.replaceChildren(...texts.map((text) => h("li", {}, text)));
  });
  app.learning.watch(show);
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
    list,
  );
}

function entry(app: App, version: Version, locked: boolean): HTMLElement {
  const name = `Version ${short(version.id)}`;
  const learned = version.examples.length;
  const facts = [when(version.created_ms), plural(learned, "lesson")];
  if (version.scale !== 1) facts.push(`at ${Math.round(version.scale * 100)} % strength`);
  const suites = Object.keys(version.suites).length > 0 && suitesTable(version.suites);
  return h(
    "li",
    { class: version.head ? "entry current" : "entry", "aria-label": name },
    h("div", { class: "entry-head" }, h("h3", {}, name), version.head && answersNow()),
    h("p", { class: "quiet-text" }, facts.join(" · ")),
    version.note !== "" && h("p", { class: "entry-note" }, version.note),
    suites && h("details", { class: "exam", open: version.head }, h("summary", {}, "Exam"), suites),
    !version.head && rollback(app, version.id, name, locked),
  );
}

function baseEntry(app: App, head: boolean, locked: boolean): HTMLElement {
  const name = "Base model";
  return h(
    "li",
    { class: head ? "entry current" : "entry", "aria-label": name },
    h("div", { class: "entry-head" }, h("h3", {}, name), head && answersNow()),
    h("p", { class: "quiet-text" }, `${app.info.value?.model ?? ""}, as it came`),
    !head && rollback(app, BASE, name, locked),
  );
}

function answersNow(): HTMLElement {
  return h("span", { class: "chip accent" }, "Answers now");
}

function rollback(app: App, version: string, name: string, locked: boolean): HTMLElement {
  const button = h(
    "button",
    { class: "small", disabled: locked, "aria-label": `Roll back to this: ${name}` },
    icon("back"),
    "Roll back to this",
  );
  button.addEventListener("click", () => {
    button.disabled = true;
    void app.rollback(version).then((done) => (button.disabled = done));
  });
  return button;
}
