/**
 * The few things that a person may set about learning, folded away.
 *
 * It knows nothing of what they do to a cycle. Invariant: an empty field leaves the choice to
 * the engine, and what learns by itself is off until it is switched on here.
 */

import { SWITCH, WAITING_MIN } from "../idle";
import { isOn, number, type NumberSetting, rememberNumber, setOn } from "../settings";
import { h } from "./dom";

const FIELDS: [name: NumberSetting, label: string, step: string, automatic: string][] = [
  ["steps_max", "Training steps, at most", "1", "automatic"],
  ["sample", "Exam questions a suite", "1", "all"],
  ["tokens_max", "Longest answer, tokens", "1", ""],
  ["temperature", "Temperature of answers", "0.1", ""],
];

export function learnSettings(): HTMLElement {
  const fields = FIELDS.map(([name, label, step, placeholder]) => {
    const value = number(name);
    const input = h("input", {
      type: "number",
      min: 0,
      step,
      placeholder,
      value: value === null ? "" : value,
    });
    input.addEventListener("change", () => rememberNumber(name, input.value));
    return h("label", { class: "field" }, h("span", {}, label), input);
  });
  const alone = h("input", { type: "checkbox", role: "switch", checked: isOn(SWITCH) });
  alone.addEventListener("change", () => setOn(SWITCH, alone.checked));
  return h(
    "div",
    {},
    h("label", { class: "field" }, h("span", {}, "Learn by itself when I am away"), alone),
    h(
      "p",
      { class: "quiet-text" },
      `After two minutes without you, from ${WAITING_MIN} waiting lessons on, never on a low battery.`,
    ),
    h("details", { class: "settings" }, h("summary", {}, "Settings"), ...fields),
  );
}
