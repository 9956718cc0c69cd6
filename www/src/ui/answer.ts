/**
 * One turn of the conversation, with what can be done to it: correct, approve, ask again, go on.
 *
 * It knows nothing of other turns. Invariant: what is taught is exactly the text in the editor, and
 * Escape always leaves the turn as it was.
 */

import type { Turn } from "../conversations";
import { copyButton } from "./copy";
import { difference } from "./difference";
import { h, icon, type IconName } from "./dom";
import { markdown } from "./markdown";

export interface AnswerActions {
  /** Keeps the corrected text; false leaves the editor open. */
  correct(text: string): Promise<boolean>;
  approve(): Promise<boolean>;
  /** Changes the text here and teaches nothing. */
  change(text: string): Promise<boolean>;
  /** Another answer in its place; absent where later turns depend on this one. */
  again?: (() => void) | undefined;
  /** Goes on where the answer was cut. */
  goOn?: (() => void) | undefined;
  /** The base model's answer beside HEAD's. */
  compare(place: HTMLElement): void;
}

/** A question, which can be asked otherwise. */
export function questionElement(turn: Turn, ask: (text: string) => void): HTMLElement {
  const element = h("article", { class: "turn question", "aria-label": "You" });
  const edit = h("button", { class: "icon-button ask-otherwise", "aria-label": "Edit question" });
  edit.append(icon("pencil"));
  const show = () => element.replaceChildren(edit, h("p", {}, turn.content));
  edit.addEventListener("click", () => {
    const area = editor("Edited question", turn.content);
    const send = h("button", { class: "primary" }, "Ask again");
    const cancel = h("button", { class: "quiet" }, "Cancel");
    const leave = () => {
      show();
      edit.focus();
    };
    const done = () => {
      const text = area.value.trim();
      if (text === "") area.focus();
      else ask(text);
    };
    cancel.addEventListener("click", leave);
    send.addEventListener("click", done);
    onKeys(area, done, leave);
    element.replaceChildren(area, h("div", { class: "answer-foot" }, send, cancel));
    focusAtEnd(area);
  });
  show();
  return element;
}

/** An answer that can still grow: `write` shows the text so far, `finish` adds the buttons. */
export class AnswerElement {
  readonly element = h("article", { class: "turn answer", "aria-label": "Apprentice" });
  #body = h("div", { class: "prose" });
  #foot = h("div", { class: "answer-foot" });
  #beside = h("div", { class: "beside" });

  constructor(private readonly actions: AnswerActions) {
    this.element.append(this.#body, this.#foot, this.#beside);
  }

  /** Shows that an answer is on its way. */
  wait(): void {
    this.element.setAttribute("aria-busy", "true");
    this.element.classList.add("streaming");
    this.#foot.replaceChildren();
    this.#beside.replaceChildren();
  }

  write(text: string): void {
    this.#body.replaceChildren(markdown(text));
  }

  finish(turn: Turn, speed = ""): void {
    const focused = this.element.contains(document.activeElement);
    this.element.removeAttribute("aria-busy");
    this.element.classList.remove("streaming");
    this.element.classList.toggle("taught", turn.taught !== undefined);
    this.#body.replaceChildren(markdown(turn.content, true));
    if (turn.before) this.#body.append(changes(turn.before, turn.content));
    this.#foot.replaceChildren(...this.#footOf(turn, speed));
    // The focused button or editor is gone; who works by keyboard goes on from here.
    if (focused) this.#foot.querySelector("button")?.focus();
  }

  #footOf(turn: Turn, speed: string): Node[] {
    const notes: Node[] = [];
    if (turn.cut === "cancelled") notes.push(h("span", { class: "note" }, "Stopped"));
    if (turn.cut === "length") notes.push(h("span", { class: "note" }, "Cut at the length limit"));
    if (speed) notes.push(h("span", { class: "note" }, speed));
    const { again, goOn } = this.actions;
    const edit = h("button", { class: "quiet", "data-key": "e", onclick: () => this.#edit(turn) });
    edit.append(icon("pencil"), "Edit to correct");
    const tools = [
      copyButton("Copy answer", () => turn.content),
      again && tool("Answer again", "again", again, "r"),
      turn.cut && goOn && tool("Continue", "down", goOn, "c"),
      tool("Compare with the base model", "columns", () => this.actions.compare(this.#beside), "b"),
    ].filter((button) => button instanceof Node);
    if (turn.taught) {
      const word = turn.taught === "corrected" ? "Corrected" : "Approved";
      const mark = h("span", { class: "mark-taught" }, icon("check"), word);
      return [mark, edit, ...tools, ...notes];
    }
    const approve = h("button", { class: "quiet", "data-key": "g" }, icon("check"), "Good answer");
    approve.addEventListener("click", () => void once(approve, () => this.actions.approve()));
    return [edit, approve, ...tools, ...notes];
  }

  #edit(turn: Turn): void {
    const area = editor("Corrected answer", turn.content);
    const teach = h("button", { class: "primary" }, "Teach this");
    const here = h("button", { class: "quiet" }, "Change only here");
    const cancel = h("button", { class: "quiet", onclick: () => this.finish(turn) }, "Cancel");
    const use = (button: HTMLButtonElement, work: (text: string) => Promise<boolean>) => {
      const text = area.value.trim();
      if (text === "") area.focus();
      else void once(button, () => work(text));
    };
    const send = () => use(teach, (text) => this.actions.correct(text));
    teach.addEventListener("click", send);
    here.addEventListener("click", () => use(here, (text) => this.actions.change(text)));
    onKeys(area, send, () => this.finish(turn));
    const note = h("span", { class: "note" }, "Write the answer that you wanted.");
    this.#body.replaceChildren(area);
    this.#foot.replaceChildren(teach, cancel, here, note);
    focusAtEnd(area);
  }
}

function tool(name: string, picture: IconName, onclick: () => void, key: string) {
  const props = { class: "icon-button tool", "aria-label": name, title: name, "data-key": key };
  return h("button", { ...props, onclick }, icon(picture));
}

function changes(before: string, after: string): HTMLElement {
  return h(
    "details",
    { class: "changes" },
    h("summary", {}, "What was changed"),
    h("p", {}, ...difference(before, after)),
  );
}

function editor(label: string, text: string): HTMLTextAreaElement {
  const area = h("textarea", { class: "editor", "aria-label": label, rows: 3 });
  area.value = text;
  return area;
}

function focusAtEnd(area: HTMLTextAreaElement): void {
  area.focus();
  area.setSelectionRange(area.value.length, area.value.length);
}

function onKeys(area: HTMLTextAreaElement, send: () => void, leave: () => void): void {
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      leave();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
  });
}

/** Keeps a button from being pressed twice while its work runs. */
async function once(button: HTMLButtonElement, work: () => Promise<boolean>): Promise<void> {
  button.disabled = true;
  if (!(await work())) button.disabled = false;
}
