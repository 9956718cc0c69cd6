/**
 * Keys for what is done often, and the list of them.
 *
 * It knows nothing of how things are done: a key presses the button that a hand would press.
 * Invariant: no letter is taken from a field in which somebody writes, and single letters can be
 * switched off, since dictation types them too.
 */

import type { App, View } from "../app";
import { isOn, recall, setOn } from "../settings";
import { showDialog } from "./dialog";
import { h } from "./dom";

/** Presses a button of the last answer. */
const ON_ANSWER: Record<string, string> = {
  e: "Correct the last answer",
  g: "Approve the last answer",
  r: "Answer again",
  c: "Go on with a cut answer",
  b: "Compare with the base model",
};
const VIEWS: View[] = ["chat", "learn", "versions", "data"];
const LIST: [keys: string, meaning: string][] = [
  ["?", "This list"],
  ["/", "Write a message"],
  ["n", "New conversation"],
  ["s", "Search conversations"],
  ["Esc", "Stop answering"],
  ...Object.entries(ON_ANSWER),
  ["1 2 3 4", "Chat, Learn, Versions, Data"],
  ["Enter", "Send; with Shift a new line"],
  ["Ctrl Enter", "Teach the corrected answer"],
];
const SWITCH = "single-keys";

export function shortcuts(app: App): void {
  document.addEventListener("keydown", (event) => {
    if (app.loader.stage.value.name !== "ready" || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    const writes = target.matches("input, textarea, select, [contenteditable]");
    if (event.key === "Escape" && app.answering.value) app.stop("chat");
    if (writes || document.querySelector("dialog[open]") || !lettersCount()) return;
    if (press(app, event.key)) event.preventDefault();
  });
}

export function showShortcuts(): void {
  showDialog("Keyboard", () => {
    const rows = LIST.flatMap(([keys, meaning]) => [
      h("dt", {}, ...keys.split(" ").map((key) => h("kbd", {}, key))),
      h("dd", {}, meaning),
    ]);
    const letters = h("input", { type: "checkbox", role: "switch", checked: lettersCount() });
    letters.addEventListener("change", () => setOn(SWITCH, letters.checked));
    const label = h("label", { class: "field" }, h("span", {}, "Single letters"), letters);
    return [h("dl", { class: "keys" }, ...rows), label];
  });
}

function lettersCount(): boolean {
  return recall(SWITCH) === null || isOn(SWITCH);
}

function press(app: App, key: string): boolean {
  const view = VIEWS[Number(key) - 1];
  if (view) app.view.value = view;
  else if (key === "?") showShortcuts();
  else if (key === "/") focus(".ask");
  else if (key === "s") search();
  else if (key === "n") document.querySelector<HTMLButtonElement>(".new-conversation")?.click();
  else if (key in ON_ANSWER) {
    const buttons = document.querySelectorAll<HTMLButtonElement>(`.answer [data-key=${key}]`);
    [...buttons].at(-1)?.click();
  } else return false;
  return true;
}

function search(): void {
  const list = document.getElementById("threads");
  if (list && !list.checkVisibility()) list.showPopover();
  focus(".thread-search");
}

function focus(selector: string): void {
  document.querySelector<HTMLElement>(selector)?.focus();
}
