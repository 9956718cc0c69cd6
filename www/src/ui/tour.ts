/**
 * The tour of three steps: ask, correct, learn; and at its end the new answer beside the old one.
 *
 * It knows nothing of how these work and presses nothing: it watches what the person does. Invariant:
 * it is shown once, can be left at any step, and covers nothing that is needed for the step.
 */

import { short, type App } from "../app";
import { recall, remember } from "../settings";
import { compare, type Side } from "./compare";
import { h, icon } from "./dom";

const DONE = "tour";
const STEPS: [title: string, text: string][] = [
  ["Ask", "Ask something that only you know: a name, a rule, a number of your trade."],
  ["Correct", "Press “Edit to correct” under the answer, write the right one, and teach it."],
  [
    "Learn",
    "Press “Learn now”. It trains, examines itself, and keeps what it learned if it passed.",
  ],
];

export function tour(app: App): HTMLElement {
  const place = h("section", { class: "tour", "aria-label": "Tour" });
  const steps = STEPS.map(([title]) => h("li", {}, title));
  const text = h("p", { role: "status" });
  const beside = h("div", {});
  const leave = h(
    "button",
    { class: "icon-button", "aria-label": "Leave the tour" },
    icon("close"),
  );
  const end = () => {
    remember(DONE, "done");
    place.hidden = true;
  };
  leave.addEventListener("click", end);
  place.append(h("ol", { class: "stages" }, ...steps), leave, text, beside);
  let at = -1;
  const show = () => {
    const next = stepOf(app);
    if (next === at || place.hidden) return;
    at = next;
    for (const [row, step] of steps.entries()) {
      step.className = row < at ? "done" : row === at ? "now" : "";
    }
    text.textContent = STEPS[at]?.[1] ?? "";
    if (at >= STEPS.length) finish(app, text, beside);
  };
  // Who has taught something before knows the way.
  place.hidden = recall(DONE) !== null;
  app.loader.stage.watch((stage) => {
    if (stage.name === "ready" && at < 0 && app.versions.value.length > 0) end();
    if (stage.name === "ready") show();
  });
  for (const signal of [app.conversations.current, app.examples, app.versions, app.cycle]) {
    (signal as { watch(work: () => void): void }).watch(() => {
      if (app.loader.stage.value.name === "ready") show();
    });
  }
  return place;
}

function stepOf(app: App): number {
  if (app.versions.value.length > 0 && app.cycle.value?.report) return 3;
  if (app.examples.value.length > 0) return 2;
  return app.conversations.current.value.turns.length > 0 ? 1 : 0;
}

/** The last lesson's question, asked of the base model and of what has just learned it. */
function finish(app: App, text: HTMLElement, beside: HTMLElement): void {
  remember(DONE, "done");
  const report = app.cycle.value?.report;
  const lesson = app.examples.value.findLast(({ messages }) => messages.length > 1);
  if (report?.verdict !== "promoted" || !report.version || !lesson) {
    text.textContent = "That was a whole round. It kept its old version this time, and said why.";
    return;
  }
  text.textContent = "This is what it said before, and what it says now:";
  const sides: [Side, Side] = [
    { version: "base", name: "Before" },
    { version: report.version, name: `Now (version ${short(report.version)})` },
  ];
  void compare(app, beside, lesson.messages.slice(0, -1), sides);
}
