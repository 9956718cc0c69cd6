/**
 * Dialogs: a title, a body, and a way out by button and by Escape.
 *
 * It knows nothing of what they hold. Invariant: the browser's own dialog holds the focus and gives
 * it back; a dialog is built anew each time, so that it shows things as they are.
 */

import { h, icon } from "./dom";

export function showDialog(title: string, body: (close: () => void) => Node[]): void {
  const dialog = h("dialog", { class: "dialog", "aria-label": title });
  const close = () => dialog.close();
  const button = h("button", { class: "icon-button", "aria-label": "Close", onclick: close });
  button.append(icon("close"));
  dialog.append(h("div", { class: "dialog-head" }, h("h2", {}, title), button), ...body(close));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    // The dialog itself is hit only outside of its children: on the backdrop.
    if (event.target === dialog) close();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Asks before something that cannot be taken back. */
export function confirmDialog(title: string, text: string, word: string, work: () => void): void {
  showDialog(title, (close) => {
    const yes = h("button", { class: "danger" }, word);
    yes.addEventListener("click", () => {
      close();
      work();
    });
    const no = h("button", { onclick: close, autofocus: true }, "Keep everything");
    return [h("p", {}, text), h("div", { class: "actions" }, yes, no)];
  });
}
