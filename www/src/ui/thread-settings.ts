/**
 * How one conversation is answered: its system prompt and its sampling.
 *
 * It knows nothing of the engine. Invariant: an empty field leaves the choice to the page's settings.
 */

import type { App } from "../app";
import type { Sampling } from "../conversations";
import { number } from "../settings";
import { showDialog } from "./dialog";
import { h, icon } from "./dom";

const FIELDS: [name: keyof Sampling, label: string, step: string, max: number | null][] = [
  ["temperature", "Temperature", "0.1", 2],
  ["top_p", "Top p", "0.05", 1],
  ["top_k", "Top k", "1", 64],
  ["tokens_max", "Longest answer, tokens", "1", null],
];

export function threadSettings(app: App): HTMLElement {
  const button = h("button", { class: "icon-button", "aria-label": "Conversation settings" });
  button.append(icon("sliders"));
  button.addEventListener("click", () => {
    const conversation = app.conversations.current.value;
    const keep = () => void app.conversations.keep(conversation);
    showDialog("This conversation", () => {
      const system = h("textarea", { class: "system", rows: 4 });
      system.value = conversation.system;
      system.placeholder = "You are a careful assistant …";
      system.addEventListener("change", () => {
        conversation.system = system.value.trim();
        keep();
      });
      const fields = FIELDS.map(([name, label, step, max]) =>
        field(label, step, max, conversation.sampling[name], fallback(name), (value) => {
          if (value === null) delete conversation.sampling[name];
          else conversation.sampling[name] = value;
          keep();
        }),
      );
      const label = h("span", {}, "System prompt: what it should be, before you ask");
      return [h("label", { class: "stacked" }, label, system), ...fields];
    });
  });
  return button;
}

function fallback(name: keyof Sampling): string {
  return name === "top_k" ? "40" : String(number(name) ?? "");
}

function field(
  label: string,
  step: string,
  max: number | null,
  value: number | undefined,
  placeholder: string,
  set: (value: number | null) => void,
): HTMLElement {
  const limits = max === null ? {} : { max };
  const input = h("input", { type: "number", min: 0, step, placeholder, ...limits });
  input.value = value === undefined ? "" : String(value);
  input.addEventListener("change", () => {
    const written = input.value === "" ? Number.NaN : Number(input.value);
    set(Number.isFinite(written) && input.checkValidity() ? written : null);
  });
  return h("label", { class: "field" }, h("span", {}, label), input);
}
