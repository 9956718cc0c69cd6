/**
 * The few numbers that a person may set, folded away.
 *
 * It knows nothing of what they do to a cycle. Invariant: an empty field leaves the choice to
 * the engine.
 */

import { number, type NumberSetting, rememberNumber } from "../settings";
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
  return h("details", { class: "settings" }, h("summary", {}, "Settings"), ...fields);
}
