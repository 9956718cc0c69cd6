/**
 * The page's state and what can be done to it: every button ends in a method here.
 *
 * It knows nothing of elements. Invariant: the lists shown are read again from the engine after
 * every call that may have changed them; nothing is guessed.
 */

import { Conversations } from "./conversations";
import { type Cycle, newCycle, note } from "./cycle";
import type {
  ChatOptions,
  ChatResult,
  Example,
  Info,
  JournalEntry,
  LearnEvent,
  Lesson,
  Message,
  Version,
} from "./engine/contract";
import { EngineError, type Method, type Methods, type Request } from "./engine/protocol";
import { Loader } from "./loader";
import * as settings from "./settings";
import { Signal } from "./signal";

export type View = "chat" | "learn" | "versions" | "data";

export interface Notice {
  text: string;
  failed: boolean;
}

/** Calls after which the lists are read again. */
const CHANGING: ReadonlySet<Method> = new Set<Method>([
  "teach",
  "rollback",
  "deleteExample",
  "releaseExample",
  "importVersion",
  "tag",
  "untag",
]);

/** On while a cycle runs: whoever finds it on at the beginning was cut off. */
const CYCLE_RUNS = "cycle-runs";

/** Calls that the screen shows as a cycle. */
type Cycling = "learn" | "adopt" | "forget";
const CYCLING: ReadonlySet<Method> = new Set<Cycling>(["learn", "adopt", "forget"]);

export class App {
  readonly info = new Signal<Info | null>(null);
  readonly answering = new Signal(false);
  readonly learning = new Signal(false);
  readonly examples = new Signal<Example[]>([]);
  readonly versions = new Signal<Version[]>([]);
  readonly journal = new Signal<JournalEntry[]>([]);
  readonly cycle = new Signal<Cycle | null>(null);
  readonly notice = new Signal<Notice | null>(null);
  readonly view = new Signal<View>("chat");
  readonly conversations = new Conversations((error) => this.fail(error));
  readonly loader: Loader;

  constructor() {
    this.loader = new Loader({
      refresh: () => this.refresh(),
      serve: (request, onEvent) => this.#serve(request, onEvent),
      reset: () => {
        this.answering.value = false;
        this.learning.value = false;
        this.cycle.value = null;
      },
      fail: (error) => this.fail(error),
    });
  }

  /** Opens the page; says it when the browser has cleared what was kept here. */
  async start(): Promise<void> {
    const kept = settings.keptBefore();
    let asked = false;
    this.loader.stage.watch(({ name }) => {
      if (name !== "ready" || asked) return;
      asked = true;
      this.#tellInterrupted();
      if (kept === 0 || !this.#holdsNothing()) return;
      this.fail("the browser has cleared what was learned here; import your export under Data");
    });
    await this.loader.start();
    if (this.loader.stage.value.name === "welcome" && settings.recall("had-model") !== null) {
      this.fail("the browser has cleared the model to free space; it must be fetched again");
    }
  }

  /** Says it when the tab was closed or killed in a cycle. */
  #tellInterrupted(): void {
    // A cycle may be under way in the tab that owns the engine.
    if (this.loader.remote.value) return;
    const cut = settings.isOn(CYCLE_RUNS) || this.info.value?.interrupted;
    settings.setOn(CYCLE_RUNS, false);
    if (!cut) return;
    const anew = this.#canResume() || " It begins anew when you learn again.";
    this.notice.value = { text: `Learning was interrupted.${anew}`, failed: false };
  }

  /** What a person may do about a cycle that was cut off. */
  #canResume(): string {
    const cut = this.info.value?.interrupted;
    return cut ? ` Under Learn, Resume goes on from step ${cut.step}.` : "";
  }

  #holdsNothing(): boolean {
    return this.examples.value.length + this.versions.value.length === 0;
  }

  async refresh(): Promise<void> {
    const { call } = this;
    this.info.value = await call("info", null);
    this.examples.value = await call("examples", null);
    this.versions.value = await call("log", null);
    this.journal.value = await call("journal", null);
    settings.rememberKept(this.examples.value.length + this.versions.value.length);
  }

  /** Calls the engine, wherever it runs. */
  readonly call = <M extends Method>(
    method: M,
    params: Methods[M]["params"],
    onEvent?: (event: Methods[M]["event"]) => void,
  ): Promise<Methods[M]["result"]> => this.loader.link().call(method, params, onEvent);

  /** Answers a conversation; a GPU that is lost meanwhile is brought back, and the question asked once more. */
  async chat(
    messages: Message[],
    options: ChatOptions,
    onToken: (text: string) => void,
  ): Promise<ChatResult> {
    this.answering.value = true;
    const params = { messages, options: { ...settings.chatOptions(), ...options } };
    try {
      return await this.call("chat", params, onToken);
    } catch (error) {
      if (!isLostDevice(error)) throw error;
      await this.#rebuild();
      return await this.call("chat", params, onToken);
    } finally {
      this.answering.value = false;
    }
  }

  /** Keeps lessons; says in a notice what became of them. */
  async teach(lessons: Lesson[]): Promise<boolean> {
    return this.tell(async () => {
      const { added, duplicates } = await this.call("teach", lessons);
      await this.#changed();
      if (added === 0) return duplicates > 0 ? "That was taught before." : "Nothing was added.";
      const again = duplicates > 0 ? ` ${duplicates} known before.` : "";
      return `${added === 1 ? "One lesson waits" : `${added} lessons wait`} to be learned.${again}`;
    });
  }

  learn(): Promise<void> {
    return this.#attempt("learn", settings.learnOptions());
  }

  /** Examines an imported version beside the one that answers; the screen is a cycle's. */
  adopt(version: string): Promise<void> {
    this.view.value = "learn";
    return this.#attempt("adopt", { version, options: settings.learnOptions() });
  }

  /** Learns again without an example all that came after it. */
  async forget(id: string): Promise<void> {
    this.view.value = "learn";
    await this.#attempt("forget", id, ({ cycles }) => {
      const again = cycles === 1 ? "one cycle" : `${cycles} cycles`;
      return `The example is forgotten${cycles > 0 ? `; ${again} ran again without it` : ""}.`;
    });
  }

  async #attempt<M extends Cycling>(
    method: M,
    params: Methods[M]["params"],
    news?: (result: Methods[M]["result"]) => string,
  ): Promise<void> {
    this.notice.value = null;
    try {
      const result = await this.#cycle(method, params, () => undefined);
      if (news) this.notice.value = { text: news(result), failed: false };
    } catch (error) {
      if (error instanceof EngineError && error.code === "stopped") {
        // What was trained may be kept.
        await this.#changed().catch((error: unknown) => this.fail(error));
        const text = `Learning was stopped. Nothing changed.${this.#canResume()}`;
        this.notice.value = { text, failed: false };
      } else if (isLostDevice(error)) {
        await this.#rebuild();
        this.notice.value = {
          text: "The GPU was lost while learning. It is back, nothing changed: learn again.",
          failed: true,
        };
      } else this.fail(error);
    }
  }

  stop(what: "chat" | "learn"): void {
    const cycle = this.cycle.value;
    if (what === "learn" && cycle) {
      cycle.stopping = true;
      this.cycle.value = cycle;
    }
    this.call("stop", what).catch((error: unknown) => this.fail(error));
  }

  async rollback(version: string): Promise<boolean> {
    return this.tell(async () => {
      const { head } = await this.call("rollback", version);
      await this.#changed();
      return head === null ? "The base model answers now." : `Version ${short(head)} answers now.`;
    });
  }

  async deleteExample(id: string): Promise<boolean> {
    return this.tell(async () => {
      await this.call("deleteExample", id);
      await this.#changed();
      return "The example was deleted.";
    });
  }

  async tag(name: string, version: string): Promise<boolean> {
    return this.tell(async () => {
      await this.call("tag", { name, version });
      await this.#changed();
      return `Version ${short(version)} is called ${name}.`;
    });
  }

  async untag(name: string): Promise<boolean> {
    return this.tell(async () => {
      await this.call("untag", name);
      await this.#changed();
      return `The name ${name} was taken away.`;
    });
  }

  async releaseExample(id: string): Promise<boolean> {
    return this.tell(async () => {
      await this.call("releaseExample", id);
      await this.#changed();
      return "It will be learned with the next cycle.";
    });
  }

  async importVersion(bytes: Uint8Array, note: string): Promise<boolean> {
    return this.tell(async () => {
      const id = await this.call("importVersion", { bytes, note });
      await this.#changed();
      return `Version ${short(id)} is in the history. It answers once it has passed an exam.`;
    });
  }

  fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.notice.value = { text, failed: true };
  }

  /** Does something whose end is told in a notice. */
  async tell(work: () => Promise<string>): Promise<boolean> {
    try {
      this.notice.value = { text: await work(), failed: false };
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  /** A cycle, whoever asked for it: its events go to this tab's screen and to `onEvent`. */
  async #cycle<M extends Cycling>(
    method: M,
    params: Methods[M]["params"],
    onEvent: (event: LearnEvent) => void,
  ): Promise<Methods[M]["result"]> {
    const cycle = newCycle();
    this.learning.value = true;
    this.cycle.value = cycle;
    settings.setOn(CYCLE_RUNS, true);
    try {
      const result = await this.call(method, params, (event: LearnEvent) => {
        note(cycle, event);
        this.cycle.value = cycle;
        onEvent(event);
      });
      cycle.report = "verdict" in result ? result : null;
      this.learning.value = false;
      this.cycle.value = cycle.report ? cycle : null;
      await this.#changed();
      return result;
    } catch (error) {
      this.cycle.value = null;
      throw error;
    } finally {
      this.learning.value = false;
      settings.setOn(CYCLE_RUNS, false);
    }
  }

  /** Runs another tab's call. */
  async #serve(request: Request, onEvent: (event: unknown) => void): Promise<unknown> {
    if (CYCLING.has(request.method)) {
      return this.#cycle(request.method as Cycling, request.params as never, onEvent);
    }
    const result = await this.call(request.method, request.params as never, onEvent as never);
    if (CHANGING.has(request.method)) await this.#changed();
    return result;
  }

  async #changed(): Promise<void> {
    await this.refresh();
    this.loader.sayChanged();
  }

  async #rebuild(): Promise<void> {
    this.notice.value = { text: "The GPU was lost; the engine is being rebuilt.", failed: false };
    await this.loader.reload();
    if (this.loader.stage.value.name !== "ready") {
      throw new EngineError("the GPU was lost and did not come back", "failed");
    }
  }
}

function isLostDevice(error: unknown): boolean {
  return error instanceof EngineError && error.code === "lost-device";
}

/** A version's name as people read it. */
export function short(id: string): string {
  return id.slice(0, 7);
}
