/**
 * Several tabs, one engine: the tab that owns it answers for the others over a channel.
 *
 * It knows nothing of what calls do. Invariant: a call of a tab that is gone is finished by the owner
 * and told to nobody; when the owner is gone, the others' calls are rejected and one of them,
 * chosen by the engine's lock, becomes the owner.
 */

import { Calls } from "./calls";
import { ofHome } from "./names";
import {
  EngineError,
  type Link,
  type Method,
  type Methods,
  type Reply,
  type Request,
} from "./protocol";

type Word =
  | { type: "call"; from: string; request: Request }
  | { type: "reply"; to: string; reply: Reply }
  /** The owner's state changed: read it again. */
  | { type: "changed" }
  /** The owner is ready. */
  | { type: "here" }
  /** Asks whether there is one that is ready. */
  | { type: "who" }
  /** The owner shall give the engine up. */
  | { type: "let go" };

/** Methods that only the owner's own page may use. */
const OWNERS: ReadonlySet<Method> = new Set(["load", "survey", "importHome", "erase"]);

export interface TabEvents {
  /** Runs the call of another tab, whose name is `from`. */
  serve(request: Request, onEvent: (event: unknown) => void, from: string): Promise<unknown>;
  isOwner(): boolean;
  onChanged(): void;
  onHere(): void;
  onLetGo(): void;
}

export class Tabs implements Link {
  #channel: BroadcastChannel;
  #calls = new Calls();
  #me = Math.random().toString(36).slice(2);

  /** The tabs that share a home; the page's own has an empty name. */
  constructor(
    private readonly events: TabEvents,
    home = "",
  ) {
    this.#channel = new BroadcastChannel(ofHome("apprentice-tabs", home));
    this.#channel.onmessage = ({ data }: MessageEvent<Word>) => this.#hear(data);
  }

  /** Calls the owner. */
  call<M extends Method>(
    method: M,
    params: Methods[M]["params"],
    onEvent?: (event: Methods[M]["event"]) => void,
  ): Promise<Methods[M]["result"]> {
    const send = (id: number) =>
      this.#say({ type: "call", from: this.#me, request: { id, method, params } });
    return this.#calls.begin<M>(send, onEvent);
  }

  /** Ends this tab's calls to an owner that is gone. */
  close(): void {
    this.#calls.end("the tab that ran the model was closed; ask again", "elsewhere");
  }

  /** Hears and says no more. */
  leave(): void {
    this.close();
    this.#channel.close();
  }

  say(type: "changed" | "here" | "who" | "let go"): void {
    this.#say({ type });
  }

  #hear(word: Word): void {
    const { events } = this;
    if (word.type === "reply") {
      if (word.to === this.#me) this.#calls.receive(word.reply);
      return;
    }
    if (events.isOwner()) {
      if (word.type === "call") void this.#answer(word.from, word.request);
      if (word.type === "who") this.say("here");
      if (word.type === "let go") events.onLetGo();
    } else if (word.type === "changed") events.onChanged();
    else if (word.type === "here") events.onHere();
  }

  async #answer(to: string, request: Request): Promise<void> {
    const { id } = request;
    const reply = (body: Reply) => this.#say({ type: "reply", to, reply: body });
    try {
      if (OWNERS.has(request.method)) {
        throw new EngineError("this can be done only in the tab that runs the model", "failed");
      }
      const hear = (event: unknown) => reply({ id, event });
      reply({ id, result: await this.events.serve(request, hear, to) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      reply({ id, error: { message, code: error instanceof EngineError ? error.code : "failed" } });
    }
  }

  #say(word: Word): void {
    this.#channel.postMessage(word);
  }
}
