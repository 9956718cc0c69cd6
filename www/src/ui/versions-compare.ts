/**
 * Two versions and one question: who is asked is chosen here, the answers stand side by side.
 *
 * It knows nothing of how they answer. Invariant: the choices are those of the history, the base
 * model always among them.
 */

import { short, type App } from "../app";
import { compare, type Side } from "./compare";
import { h } from "./dom";

export function versionsComparison(app: App): HTMLElement {
  const [left, right] = [chooser("First version"), chooser("Second version")];
  const question = h("textarea", { "aria-label": "Question to both", rows: 2 });
  question.placeholder = "A question to both";
  const place = h("div", { "aria-live": "polite" });
  const ask = h("button", { class: "small" }, "Compare");
  ask.addEventListener("click", () => {
    const text = question.value.trim();
    if (text === "") return question.focus();
    if (app.answering.value) return;
    const sides: [Side, Side] = [sideOf(left), sideOf(right)];
    void compare(app, place, [{ role: "user", content: text }], sides);
  });
  const box = h(
    "details",
    { class: "versions-compare" },
    h("summary", {}, "Compare two versions"),
    h("div", { class: "choosers" }, left, right),
    question,
    ask,
    place,
  );
  app.versions.watch((versions) => {
    box.hidden = versions.length === 0;
    const names: [string, string][] = versions.map(({ id }) => [id, `Version ${short(id)}`]);
    const all: [string, string][] = [...names, ["base", "Base model"]];
    const head = versions.find((version) => version.head)?.id ?? "base";
    const parent = versions.find(({ id }) => id === head)?.parent ?? "base";
    fill(left, all, parent);
    fill(right, all, head);
  });
  app.answering.watch((answering) => (ask.disabled = answering));
  return box;
}

function chooser(name: string): HTMLSelectElement {
  return h("select", { "aria-label": name });
}

function fill(select: HTMLSelectElement, all: [string, string][], chosen: string): void {
  select.replaceChildren(...all.map(([value, name]) => h("option", { value }, name)));
  select.value = all.some(([value]) => value === chosen) ? chosen : "base";
}

function sideOf(select: HTMLSelectElement): Side {
  return { version: select.value, name: select.selectedOptions[0]?.text ?? select.value };
}
