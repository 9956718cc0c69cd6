/**
 * The conversation: asking, streaming, stopping, and turning answers into lessons.
 *
 * It knows nothing of learning. Invariant: while an answer streams, the turns before it do not
 * change, so that what is taught has the context that was answered.
 */

import type { App } from "../app";
import { recallTurns, rememberTurns, type Turn } from "../conversation";
import type { Message } from "../engine/contract";
import { AnswerElement, questionElement } from "./answer";
import { h, icon } from "./dom";

const STARTERS = [
  "What can you help me with?",
  "Explain a rainbow in two sentences.",
  "Write a short note to thank a colleague.",
];

export function chatView(app: App): HTMLElement {
  const log = h("div", {
    class: "turns",
    role: "log",
    "aria-live": "polite",
    "aria-label": "Conversation",
  });
  const chat = new Chat(app, log);
  const area = h("textarea", {
    class: "ask",
    "aria-label": "Message",
    placeholder: "Ask something",
    rows: 1,
  });
  const send = h("button", { class: "send", "aria-label": "Send" }, icon("send"));
  const stop = h(
    "button",
    { class: "send stop", "aria-label": "Stop answering", onclick: () => app.stop() },
    icon("stop"),
  );
  const submit = () => {
    const text = area.value.trim();
    if (text === "" || app.busy.value !== null) return;
    area.value = "";
    void chat.ask(text).then((answered) => {
      if (!answered && area.value === "") area.value = text;
    });
  };
  send.addEventListener("click", submit);
  area.addEventListener("keydown", (event) => {
    // An input method's own Enter chooses a word; it does not send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  const hint = h("p", { class: "hint" });
  const fresh = h(
    "button",
    { class: "quiet new-conversation", onclick: () => chat.clear() },
    icon("plus"),
    "New conversation",
  );
  app.busy.watch((busy) => {
    send.hidden = busy === "chat";
    stop.hidden = busy !== "chat";
    send.disabled = busy !== null;
    fresh.disabled = busy === "chat";
    log.classList.toggle("locked", busy !== null);
    hint.classList.toggle("urgent", busy === "learn");
    hint.textContent =
      busy === "learn"
        ? "Learning is under way. Ask again when it is done, or stop it."
        : "Small models make mistakes. Correct one, and it can learn.";
  });
  return h(
    "main",
    { class: "chat" },
    h("div", { class: "chat-scroll" }, log),
    h(
      "div",
      { class: "composer" },
      h("div", { class: "ask-box" }, area, send, stop),
      h("div", { class: "under-ask" }, hint, fresh),
    ),
  );
}

class Chat {
  #turns: Turn[] = [];

  constructor(
    private readonly app: App,
    private readonly log: HTMLElement,
  ) {
    this.#showAll();
    void recallTurns().then(
      (turns) => {
        this.#turns = turns;
        this.#showAll();
      },
      (error: unknown) => app.fail(error),
    );
  }

  clear(): void {
    this.#turns = [];
    this.#keep();
    this.#showAll();
  }

  /** Asks and shows the answer; false where none came, with all as it was before. */
  async ask(text: string): Promise<boolean> {
    const question: Turn = { role: "user", content: text };
    this.#turns.push(question);
    this.log.querySelector(".empty")?.remove();
    this.log.append(questionElement(question));
    const row = this.#turns.length;
    const answer = this.#answerElement(row);
    answer.wait();
    this.log.append(answer.element);
    this.#follow(true);
    let soFar = "";
    let frame = 0;
    try {
      const result = await this.app.chat(this.#turns.map(plain), (token) => {
        soFar += token;
        // Tokens can come faster than frames; Markdown is parsed once a frame.
        frame ||= requestAnimationFrame(() => {
          frame = 0;
          answer.write(soFar);
          this.#follow(false);
        });
      });
      cancelAnimationFrame(frame);
      const turn: Turn = { role: "assistant", content: result.text || soFar };
      if (result.stop_reason !== "stop") turn.cut = result.stop_reason;
      this.#turns[row] = turn;
      answer.finish(turn, speed(result.decode_tokens_per_s));
      this.#follow(false);
    } catch (error) {
      cancelAnimationFrame(frame);
      this.#turns.length = row - 1;
      this.#showAll();
      this.app.fail(error);
      return false;
    }
    this.#keep();
    return true;
  }

  #answerElement(row: number): AnswerElement {
    const answer = new AnswerElement({
      approve: () => this.#teach(answer, row, "approval", this.#turns[row]?.content ?? ""),
      correct: (text) => this.#teach(answer, row, "correction", text),
    });
    return answer;
  }

  async #teach(
    answer: AnswerElement,
    row: number,
    kind: "approval" | "correction",
    text: string,
  ): Promise<boolean> {
    const before = this.#turns[row];
    if (!before) return false;
    const messages = [...this.#turns.slice(0, row).map(plain), plain({ ...before, content: text })];
    const changed = kind === "correction" && before.content !== text;
    const kept = await this.app.teach([
      { kind, messages, source: "chat", ...(changed ? { rejected: before.content } : {}) },
    ]);
    if (!kept) return false;
    const taught = kind === "approval" ? "approved" : "corrected";
    const turn: Turn = { role: "assistant", content: text, taught };
    this.#turns[row] = turn;
    answer.finish(turn);
    this.#keep();
    return true;
  }

  #showAll(): void {
    if (this.#turns.length === 0) {
      this.log.replaceChildren(this.#empty());
      return;
    }
    const elements = this.#turns.map((turn, row) => {
      if (turn.role !== "assistant") return questionElement(turn);
      const answer = this.#answerElement(row);
      answer.finish(turn);
      return answer.element;
    });
    this.log.replaceChildren(...elements);
    this.#follow(true);
  }

  #empty(): HTMLElement {
    const starters = STARTERS.map((text) =>
      h("button", { class: "starter", onclick: () => void this.#start(text) }, text),
    );
    return h(
      "div",
      { class: "empty" },
      h("h1", { class: "display" }, "Teach it your trade."),
      h(
        "p",
        {},
        "Ask something. Where the answer is wrong, write the right one, and let it learn. ",
        "Nothing that you write leaves this device.",
      ),
      h("div", { class: "starters" }, ...starters),
    );
  }

  async #start(text: string): Promise<void> {
    if (this.app.busy.value === null) await this.ask(text);
  }

  /** Keeps the newest text in sight, unless the reader has scrolled up. */
  #follow(always: boolean): void {
    const scroll = this.log.parentElement;
    if (!scroll) return;
    const distance_px = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
    if (always || distance_px < 160) scroll.scrollTop = scroll.scrollHeight;
  }

  #keep(): void {
    rememberTurns(this.#turns).catch((error: unknown) => this.app.fail(error));
  }
}

function plain({ role, content }: Turn): Message {
  return { role, content };
}

function speed(decode_tokens_per_s: number): string {
  if (!(decode_tokens_per_s > 0)) return "";
  return `${decode_tokens_per_s.toFixed(decode_tokens_per_s < 10 ? 1 : 0)} tokens/s`;
}
