/**
 * One turn of the conversation, with what can be done to an answer: correct it or approve it.
 *
 * It knows nothing of other turns. Invariant: what is taught is exactly the text in the editor.
 */

import type { Turn } from "../conversation";
import { h, icon } from "./dom";
import { markdown } from "./markdown";

export interface AnswerActions {
  /** Keeps the corrected text; false leaves the editor open. */
  correct(text: string): Promise<boolean>;
  approve(): Promise<boolean>;
}

export function questionElement(turn: Turn): HTMLElement {
  return h("article", { class: "turn question", "aria-label": "You" }, h("p", {}, turn.content));
}

/** An answer that can still grow: `write` shows the text so far, `finish` adds the buttons. */
export class AnswerElement {
  readonly element = h("article", { class: "turn answer", "aria-label": "Apprentice" });
  #body = h("div", { class: "prose" });
  #foot = h("div", { class: "answer-foot" });

  constructor(private readonly actions: AnswerActions) {
    this.element.append(this.#body, this.#foot);
  }

  /** Shows that an answer is on its way. */
  wait(): void {
    this.element.setAttribute("aria-busy", "true");
    this.element.classList.add("streaming");
  }

  write(text: string): void {
    this.#body.replaceChildren(markdown(text));
  }

  finish(turn: Turn, speed = ""): void {
    const focused = this.element.contains(document.activeElement);
    this.element.removeAttribute("aria-busy");
    this.element.classList.remove("streaming");
    this.element.classList.toggle("taught", turn.taught !== undefined);
    this.write(turn.content);
    this.#foot.replaceChildren(...this.#footOf(turn, speed));
    // The focused button or editor is gone; who works by keyboard goes on from here.
    if (focused) this.#foot.querySelector("button")?.focus();
  }

  #footOf(turn: Turn, speed: string): Node[] {
    const notes: Node[] = [];
    if (turn.cut === "cancelled") notes.push(h("span", { class: "note" }, "Stopped"));
    if (turn.cut === "length") notes.push(h("span", { class: "note" }, "Cut at the length limit"));
    if (speed) notes.push(h("span", { class: "note" }, speed));
    const edit = h(
      "button",
      { class: "quiet", onclick: () => this.#edit(turn) },
      icon("pencil"),
      "Edit to correct",
    );
    if (turn.taught) {
      const word = turn.taught === "corrected" ? "Corrected" : "Approved";
      return [h("span", { class: "mark-taught" }, icon("check"), word), edit, ...notes];
    }
    const approve = h("button", { class: "quiet" }, icon("check"), "Good answer");
    approve.addEventListener("click", () => void once(approve, () => this.actions.approve()));
    return [edit, approve, ...notes];
  }

  #edit(turn: Turn): void {
    const area = h("textarea", { class: "editor", "aria-label": "Corrected answer", rows: 3 });
    area.value = turn.content;
    const teach = h("button", { class: "primary" }, "Teach this");
    const cancel = h("button", { class: "quiet", onclick: () => this.finish(turn) }, "Cancel");
    const send = () => {
      const text = area.value.trim();
      if (text === "") area.focus();
      else void once(teach, () => this.actions.correct(text));
    };
    teach.addEventListener("click", send);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.finish(turn);
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
    });
    this.#body.replaceChildren(area);
    this.#foot.replaceChildren(
      teach,
      cancel,
      h("span", { class: "note" }, "Write the answer that you wanted."),
    );
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

/** Keeps a button from being pressed twice while its work runs. */
async function once(button: HTMLButtonElement, work: () => Promise<boolean>): Promise<void> {
  button.disabled = true;
  if (!(await work())) button.disabled = false;
}
