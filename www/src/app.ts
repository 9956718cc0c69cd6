/**
 * The page's state and what can be done to it: every button ends in a method here.
 *
 * It knows nothing of elements. Invariant: the lists shown are read again from the engine after
 * every call that may have changed them; nothing is guessed.
 */

import { EngineClient } from "./engine/client";
import type {
  ChatResult,
  CycleReport,
  DeviceChoice,
  Example,
  Info,
  LearnEvent,
  Lesson,
  Message,
  Progress,
  Version,
} from "./engine/contract";
import { EngineError } from "./engine/protocol";
import * as settings from "./settings";
import { Signal } from "./signal";

export type Stage =
  | { name: "loading"; progress: Progress | null }
  | { name: "ready" }
  | { name: "failed"; message: string; needsModel: boolean }
  | { name: "elsewhere" };

export type View = "chat" | "learn" | "versions" | "data";

/** The cycle on the screen: its steps so far, and its end. */
export interface Cycle {
  latest: LearnEvent | null;
  phase: string;
  /** [step, loss] */
  curve: [number[], number[]];
  step: Extract<LearnEvent, { type: "step" }> | null;
  suite: Extract<LearnEvent, { type: "suite" }> | null;
  report: CycleReport | null;
  stopping: boolean;
}

export interface Notice {
  text: string;
  failed: boolean;
}

const CHANNEL = "apprentice-tabs";

export class App {
  readonly stage = new Signal<Stage>({ name: "loading", progress: null });
  readonly info = new Signal<Info | null>(null);
  readonly busy = new Signal<"chat" | "learn" | null>(null);
  readonly examples = new Signal<Example[]>([]);
  readonly versions = new Signal<Version[]>([]);
  readonly cycle = new Signal<Cycle | null>(null);
  readonly notice = new Signal<Notice | null>(null);
  readonly view = new Signal<View>("chat");

  #client: EngineClient | null = null;
  #file: File | null = null;
  #tabs = new BroadcastChannel(CHANNEL);

  constructor() {
    this.#tabs.onmessage = () => {
      if (this.stage.value.name === "elsewhere") return;
      this.#client?.close();
      this.stage.value = { name: "elsewhere" };
    };
  }

  /** Loads the engine in a fresh worker; `file` takes the place of the page's own model. */
  async load(options: { file?: File; patient?: boolean } = {}): Promise<void> {
    if (options.file) this.#file = options.file;
    this.#client?.close();
    if (!isSecureContext) {
      const message = "Browsers keep files only for pages from https:// or localhost.";
      this.stage.value = { name: "failed", message, needsModel: false };
      return;
    }
    const client = new EngineClient();
    this.#client = client;
    this.busy.value = null;
    this.stage.value = { name: "loading", progress: null };
    const params = {
      base: new URL(".", location.href).href,
      device: settings.device(),
      modelPath: settings.modelPath,
      suitesPath: settings.suitesPath,
      file: this.#file,
      patient: options.patient ?? false,
    };
    try {
      const info = await client.call("load", params, (progress) => {
        if (this.#client === client) this.stage.value = { name: "loading", progress };
      });
      this.info.value = info;
      await this.refresh();
      this.stage.value = { name: "ready" };
      // Asks that the browser keeps what was learned when the disk is short; it may say no.
      void navigator.storage.persist().catch(() => false);
    } catch (error) {
      if (this.#client === client) this.#loadFailed(error);
    }
  }

  /** Takes the engine over from the tab that has it. */
  async takeOver(): Promise<void> {
    this.#tabs.postMessage("let go");
    await this.load({ patient: true });
  }

  async setDevice(choice: DeviceChoice): Promise<void> {
    settings.rememberDevice(choice);
    await this.load();
  }

  /** Whether a file that the user picked is the model. */
  get hasPickedModel(): boolean {
    return this.#file !== null;
  }

  /** Forgets a picked file and loads the page's own model. */
  async ownModel(): Promise<void> {
    this.#file = null;
    await this.load();
  }

  async refresh(): Promise<void> {
    const client = this.#engine();
    this.info.value = await client.call("info", null);
    this.examples.value = await client.call("examples", null);
    this.versions.value = await client.call("log", null);
  }

  async chat(messages: Message[], onToken: (text: string) => void): Promise<ChatResult> {
    this.busy.value = "chat";
    try {
      const params = { messages, options: settings.chatOptions() };
      return await this.#engine().call("chat", params, onToken);
    } finally {
      this.busy.value = null;
    }
  }

  /** Keeps lessons; says in a notice what became of them. */
  async teach(lessons: Lesson[]): Promise<boolean> {
    return this.#tell(async () => {
      const { added, duplicates } = await this.#engine().call("teach", lessons);
      await this.refresh();
      if (added === 0) return duplicates > 0 ? "That was taught before." : "Nothing was added.";
      const again = duplicates > 0 ? ` ${duplicates} known before.` : "";
      return `${added === 1 ? "One lesson waits" : `${added} lessons wait`} to be learned.${again}`;
    });
  }

  async learn(): Promise<void> {
    const cycle: Cycle = {
      latest: null,
      phase: "prepare",
      curve: [[], []],
      step: null,
      suite: null,
      report: null,
      stopping: false,
    };
    this.busy.value = "learn";
    this.cycle.value = cycle;
    this.notice.value = null;
    try {
      const report = await this.#engine().call("learn", settings.learnOptions(), (event) => {
        note(cycle, event);
        this.cycle.value = cycle;
      });
      cycle.report = report;
      this.cycle.value = cycle;
      await this.refresh();
    } catch (error) {
      this.cycle.value = null;
      if (error instanceof EngineError && error.code === "stopped") {
        this.notice.value = { text: "Learning was stopped. Nothing changed.", failed: false };
      } else this.fail(error);
    } finally {
      this.busy.value = null;
    }
  }

  stop(): void {
    const cycle = this.cycle.value;
    if (this.busy.value === "learn" && cycle) {
      cycle.stopping = true;
      this.cycle.value = cycle;
    }
    this.#engine()
      .call("stop", null)
      .catch((error: unknown) => this.fail(error));
  }

  async rollback(version: string): Promise<boolean> {
    return this.#tell(async () => {
      const { head } = await this.#engine().call("rollback", version);
      await this.refresh();
      return head === null ? "The base model answers now." : `Version ${short(head)} answers now.`;
    });
  }

  async deleteExample(id: string): Promise<boolean> {
    return this.#tell(async () => {
      await this.#engine().call("deleteExample", id);
      await this.refresh();
      return "The example was deleted.";
    });
  }

  fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    this.notice.value = { text, failed: true };
  }

  async #tell(work: () => Promise<string>): Promise<boolean> {
    try {
      this.notice.value = { text: await work(), failed: false };
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  }

  #engine(): EngineClient {
    if (!this.#client) throw new EngineError("the model is not loaded yet", "failed");
    return this.#client;
  }

  #loadFailed(error: unknown): void {
    this.#client?.close();
    // The other tab's answer to `takeOver` may have come first.
    if (this.stage.value.name === "elsewhere") return;
    const code = error instanceof EngineError ? error.code : "failed";
    const message = error instanceof Error ? error.message : String(error);
    this.stage.value =
      code === "elsewhere"
        ? { name: "elsewhere" }
        : { name: "failed", message, needsModel: code === "no-model" };
  }
}

/** A version's name as people read it. */
export function short(id: string): string {
  return id.slice(0, 7);
}

function note(cycle: Cycle, event: LearnEvent): void {
  cycle.latest = event;
  if (event.type === "phase") {
    cycle.phase = event.phase;
    cycle.suite = null;
  } else if (event.type === "suite") {
    cycle.suite = event;
  } else {
    cycle.step = event;
    cycle.curve[0].push(event.step);
    cycle.curve[1].push(event.loss);
  }
}
