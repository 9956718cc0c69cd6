/**
 * Buttons that put a text on the clipboard.
 *
 * It knows nothing of what is copied. Invariant: the button says whether it worked, to eyes and ears.
 */

import { h, icon } from "./dom";

const TOLD_MS = 1_600;

export function copyButton(name: string, text: () => string): HTMLButtonElement {
  const props = { class: "icon-button tool", "aria-label": name, title: name, type: "button" };
  const button = h("button", props, icon("copy"));
  button.addEventListener("click", () => {
    const tell = (picture: "check" | "close", word: string) => {
      button.replaceChildren(icon(picture));
      button.setAttribute("aria-label", word);
      setTimeout(() => {
        button.replaceChildren(icon("copy"));
        button.setAttribute("aria-label", name);
      }, TOLD_MS);
    };
    navigator.clipboard.writeText(text()).then(
      () => tell("check", "Copied"),
      () => tell("close", "The browser did not copy it"),
    );
  });
  return button;
}
