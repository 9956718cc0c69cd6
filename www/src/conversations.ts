/**
 * The conversations of this device: listed, searched, renamed, deleted, and the one that is open.
 *
 * It knows nothing of the engine and of elements. Invariant: what is stored is what is shown, up to
 * the last finished turn; where the browser keeps nothing, the engine's warnings say so.
 */

import type { Message } from "./engine/contract";
import { type PageStore, openPageStore } from "./page-store";
import { Signal } from "./signal";

/** A message as the page shows it. */
export interface Turn extends Message {
  /** What became of an answer: its first words kept when it was corrected. */
  taught?: "corrected" | "approved";
  /** The model's own words, where a person changed them. */
  before?: string;
  /** The answer was cut: by the user or by the limit on its length. */
  cut?: "cancelled" | "length";
  /** Tokens of the conversation up to this answer's end. */
  tokens?: number;
}

/** How the answers of one conversation are drawn; what is absent is the page's own default. */
export interface Sampling {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  tokens_max?: number;
}

export interface Conversation {
  id: string;
  title: string;
  /** The title is a person's, not the first question's words. */
  named: boolean;
  created_ms: number;
  updated_ms: number;
  system: string;
  sampling: Sampling;
  turns: Turn[];
}

const TITLE_CHARS_MAX = 60;

export class Conversations {
  /** The newest first. */
  readonly list = new Signal<Conversation[]>([]);
  readonly current = new Signal<Conversation>(blank());
  #store: PageStore | null = null;
  #recalled = false;
  #others = new BroadcastChannel("apprentice-conversations");

  constructor(private readonly onTrouble: (error: unknown) => void) {
    this.#others.onmessage = ({ data }: MessageEvent<string>) => void this.#reread(data);
  }

  /** Reads what is kept, and opens the newest conversation. */
  async recall(): Promise<void> {
    this.#store = await openPageStore();
    const all = await this.#store.conversations();
    this.list.value = sorted(all);
    const newest = this.list.value[0];
    // What was written before the list came is not put away.
    const { turns, id } = this.current.value;
    const isGone = turns.length > 0 && !all.some((conversation) => conversation.id === id);
    if (isGone && this.#recalled) this.current.value = newest ?? blank();
    else if (newest && turns.length === 0) this.current.value = newest;
    this.#recalled = true;
  }

  /** Opens an empty conversation with the settings of the one before. */
  begin(): void {
    const { system, sampling } = this.current.value;
    this.current.value = { ...blank(), system, sampling };
  }

  open(id: string): void {
    const found = this.list.value.find((conversation) => conversation.id === id);
    if (found) this.current.value = found;
  }

  /** Keeps a conversation as it is now; one without turns is not listed. */
  async keep(conversation: Conversation): Promise<void> {
    conversation.updated_ms = Date.now();
    if (!conversation.named) conversation.title = titleOf(conversation);
    const others = this.list.value.filter(({ id }) => id !== conversation.id);
    if (conversation.turns.length === 0) {
      if (others.length !== this.list.value.length) await this.remove(conversation.id);
      return;
    }
    this.list.value = sorted([conversation, ...others]);
    try {
      await this.#store?.putConversation(conversation);
      this.#others.postMessage(conversation.id);
    } catch (error) {
      this.onTrouble(error);
    }
  }

  async rename(id: string, title: string): Promise<void> {
    const found = this.list.value.find((conversation) => conversation.id === id);
    if (!found) return;
    found.title = title.trim().slice(0, TITLE_CHARS_MAX);
    found.named = found.title !== "";
    await this.keep(found);
    if (this.current.value.id === id) this.current.value = found;
  }

  async remove(id: string): Promise<void> {
    this.list.value = this.list.value.filter((conversation) => conversation.id !== id);
    if (this.current.value.id === id) this.current.value = this.list.value[0] ?? blank();
    try {
      await this.#store?.deleteConversation(id);
      this.#others.postMessage(id);
    } catch (error) {
      this.onTrouble(error);
    }
  }

  /** Another tab wrote or deleted one. */
  async #reread(id: string): Promise<void> {
    const fresh = await this.#store?.conversation(id).catch(() => undefined);
    const others = this.list.value.filter((conversation) => conversation.id !== id);
    this.list.value = sorted(fresh ? [fresh, ...others] : others);
    if (this.current.value.id === id && fresh) this.current.value = fresh;
  }
}

/** Those whose title or turns have all words of a query. */
export function search(list: Conversation[], query: string): Conversation[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return list;
  return list.filter(({ title, turns }) => {
    const text = [title, ...turns.map(({ content }) => content)].join("\n").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** A conversation as a person reads it in a file. */
export function asMarkdown({ title, system, turns }: Conversation): string {
  const spoken = turns.map(({ role, content }) => {
    return `**${role === "user" ? "You" : "Apprentice"}**\n\n${content}\n`;
  });
  const told = system === "" ? [] : [`> ${system.replaceAll("\n", "\n> ")}\n`];
  return [`# ${title}\n`, ...told, ...spoken].join("\n");
}

/** What the engine is asked: the system prompt, then the turns before `end`. */
export function messagesOf({ system, turns }: Conversation, end = turns.length): Message[] {
  const told: Message[] = system === "" ? [] : [{ role: "system", content: system }];
  return [...told, ...turns.slice(0, end).map(({ role, content }) => ({ role, content }))];
}

/** Also where `crypto.randomUUID` is missing, as on a page without https. */
export function freshId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

function blank(): Conversation {
  const now = Date.now();
  return {
    id: freshId(),
    title: "",
    named: false,
    created_ms: now,
    updated_ms: now,
    system: "",
    sampling: {},
    turns: [],
  };
}

function titleOf({ turns }: Conversation): string {
  const words = (turns[0]?.content ?? "").replace(/\s+/g, " ").trim();
  return words.length > TITLE_CHARS_MAX ? `${words.slice(0, TITLE_CHARS_MAX - 1)}…` : words;
}

function sorted(list: Conversation[]): Conversation[] {
  return [...list].sort((a, b) => b.updated_ms - a.updated_ms);
}
