/**
 * The open conversation's turns: asking, streaming, asking otherwise, going on, and teaching.
 *
 * It knows nothing of the composer and of learning. Invariant: while an answer streams, the turns
 * before it do not change, so that what is taught has the context that was answered.
 */

import type { App } from "../app";
import { type Conversation, freshId, messagesOf, type Turn } from "../conversations";
import type { ChatOptions } from "../engine/contract";
import { AnswerElement, questionElement } from "./answer";
import { compare } from "./compare";
import { h } from "./dom";

const STARTERS = [
  "What can you help me with?",
  "Explain a rainbow in two sentences.",
  "Write a short note to thank a colleague.",
];

/** Nearer to the end than this, the reader is taken to follow what is written. */
const FOLLOW_PX = 160;

export class Thread {
  readonly element = h("div", {
    class: "turns",
    role: "log",
    "aria-live": "polite",
    "aria-label": "Conversation",
  });
  #shown: Conversation | null = null;

  constructor(private readonly app: App) {
    app.conversations.current.watch((conversation) => {
      if (conversation !== this.#shown) this.#showAll(conversation);
    });
  }

  /** Asks and shows the answer; false where none came, with all as it was before. */
  async ask(text: string): Promise<boolean> {
    if (this.app.answering.value) return false;
    const conversation = this.app.conversations.current.value;
    conversation.turns.push({ role: "user", content: text });
    this.element.querySelector(".empty")?.remove();
    this.element.append(this.#question(conversation, conversation.turns.length - 1));
    const answer = this.#answer(conversation, conversation.turns.length);
    this.element.append(answer.element);
    this.#follow(true);
    const answered = await this.#fill(conversation, answer, conversation.turns.length, "");
    if (!answered) {
      conversation.turns.length -= 1;
      this.#showAll(conversation);
    }
    return answered;
  }

  /** Lets the answer of a row be written, behind what is there already. */
  async #fill(
    conversation: Conversation,
    answer: AnswerElement,
    row: number,
    begun: string,
  ): Promise<boolean> {
    answer.wait();
    this.element.setAttribute("aria-busy", "true");
    answer.write(begun);
    let soFar = begun;
    let frame = 0;
    const options: ChatOptions = { ...conversation.sampling };
    const messages = messagesOf(conversation, row);
    if (begun !== "") {
      options.goes_on = true;
      messages.push({ role: "assistant", content: begun });
    }
    try {
      const result = await this.app.chat(messages, options, (token) => {
        soFar += token;
        // Tokens can come faster than frames; Markdown is parsed once a frame.
        frame ||= requestAnimationFrame(() => {
          frame = 0;
          answer.write(soFar);
          this.#follow(false);
        });
      });
      cancelAnimationFrame(frame);
      const content = result.text === "" ? soFar : begun + result.text;
      const tokens = result.prompt_tokens + result.generated_tokens;
      const turn: Turn = { role: "assistant", content, tokens };
      if (result.stop_reason !== "stop") turn.cut = result.stop_reason;
      conversation.turns[row] = turn;
      answer.finish(turn, speed(result.decode_tokens_per_s));
      this.#follow(false);
      await this.#keep(conversation);
      return true;
    } catch (error) {
      cancelAnimationFrame(frame);
      this.app.fail(error);
      return false;
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  #question(conversation: Conversation, row: number): HTMLElement {
    const turn = conversation.turns[row] as Turn;
    return questionElement(turn, (text) => void this.#askOtherwise(conversation, row, text));
  }

  #answer(conversation: Conversation, row: number): AnswerElement {
    const isLast = () => row === conversation.turns.length - 1;
    const redo = (begun: (turn: Turn) => string) => () => {
      const turn = conversation.turns[row];
      if (!turn || this.app.answering.value) return;
      void this.#fill(conversation, answer, row, begun(turn)).then((done) => {
        if (!done) answer.finish(turn);
      });
    };
    const [again, goOn] = [redo(() => ""), redo(({ content }) => content)];
    const answer: AnswerElement = new AnswerElement({
      approve: () => this.#teach(conversation, answer, row, "approval"),
      correct: (text) => this.#teach(conversation, answer, row, "correction", text),
      change: (text) => this.#change(conversation, answer, row, text),
      // Later turns answer to this one, so only the last is asked again in its place.
      get again() {
        return isLast() ? again : undefined;
      },
      get goOn() {
        return isLast() ? goOn : undefined;
      },
      compare: (place) => this.#compare(conversation, row, place),
    });
    return answer;
  }

  /** Another question in a row's place; what followed stays in a conversation of its own. */
  async #askOtherwise(conversation: Conversation, row: number, text: string): Promise<void> {
    if (this.app.answering.value) return;
    const { conversations } = this.app;
    if (row < conversation.turns.length - 2) {
      const turns = conversation.turns.slice(0, row);
      const sampling = { ...conversation.sampling };
      const fork = { ...conversation, id: freshId(), sampling, turns };
      conversations.current.value = fork;
    } else {
      conversation.turns.length = row;
      this.#showAll(conversation);
    }
    await this.ask(text);
  }

  async #change(
    conversation: Conversation,
    answer: AnswerElement,
    row: number,
    text: string,
  ): Promise<boolean> {
    const before = conversation.turns[row];
    if (!before) return false;
    const turn: Turn = { ...before, content: text };
    if (before.content !== text) turn.before = before.before ?? before.content;
    conversation.turns[row] = turn;
    answer.finish(turn);
    await this.#keep(conversation);
    return true;
  }

  async #teach(
    conversation: Conversation,
    answer: AnswerElement,
    row: number,
    kind: "approval" | "correction",
    text = conversation.turns[row]?.content ?? "",
  ): Promise<boolean> {
    const before = conversation.turns[row];
    if (!before) return false;
    if (this.app.learning.value) {
      this.app.fail("learning is under way: teach this when it is done");
      return false;
    }
    const messages = messagesOf(conversation, row);
    messages.push({ role: "assistant", content: text });
    const changed = kind === "correction" && before.content !== text;
    const lesson = { kind, messages, source: "chat" };
    if (!(await this.app.teach([changed ? { ...lesson, rejected: before.content } : lesson]))) {
      return false;
    }
    const taught = kind === "approval" ? "approved" : "corrected";
    const turn: Turn = { ...before, content: text, taught };
    if (changed) turn.before = before.before ?? before.content;
    delete turn.cut;
    conversation.turns[row] = turn;
    answer.finish(turn);
    await this.#keep(conversation);
    return true;
  }

  #compare(conversation: Conversation, row: number, place: HTMLElement): void {
    if (this.app.answering.value) return;
    const messages = messagesOf(conversation, row);
    const head = this.app.info.value?.head;
    const yours = head ? `Yours (version ${head.slice(0, 7)})` : "Yours (nothing learned yet)";
    const sides = [
      { version: "base", name: "Base model" },
      { version: undefined, name: yours },
    ] as const;
    void compare(this.app, place, messages, [...sides], conversation.sampling);
  }

  #showAll(conversation: Conversation): void {
    this.#shown = conversation;
    if (conversation.turns.length === 0) {
      this.element.replaceChildren(this.#empty());
      return;
    }
    const elements = conversation.turns.map((turn, row) => {
      if (turn.role !== "assistant") return this.#question(conversation, row);
      const answer = this.#answer(conversation, row);
      answer.finish(turn);
      return answer.element;
    });
    this.element.replaceChildren(...elements);
    this.#follow(true);
  }

  #empty(): HTMLElement {
    const starters = STARTERS.map((text) =>
      h("button", { class: "starter", onclick: () => void this.ask(text) }, text),
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

  /** Keeps the newest text in sight, unless the reader has scrolled up. */
  #follow(always: boolean): void {
    const scroll = this.element.parentElement;
    if (!scroll) return;
    const distance_px = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
    if (always || distance_px < FOLLOW_PX) scroll.scrollTop = scroll.scrollHeight;
  }

  async #keep(conversation: Conversation): Promise<void> {
    const { conversations } = this.app;
    await conversations.keep(conversation);
    // The same conversation with more turns: who shows its length or title looks again.
    if (conversations.current.value === conversation) conversations.current.value = conversation;
  }
}

function speed(decode_tokens_per_s: number): string {
  if (!(decode_tokens_per_s > 0)) return "";
  return `${decode_tokens_per_s.toFixed(decode_tokens_per_s < 10 ? 1 : 0)} tokens/s`;
}
