/**
 * From opening the page to a model that answers: survey, welcome, loading, and who owns the engine.
 *
 * It knows nothing of elements and of what is asked of the engine. Invariant: exactly one link is in
 * use, this tab's worker or another tab; when the owner goes, a tab that waits takes its place.
 */

import type { EngineClient } from "./engine/client";
import type { DeviceChoice, Progress } from "./engine/contract";
import { ENGINE_LOCK } from "./engine/names";
import {
  EngineError,
  type Link,
  type ModelChoice,
  type Request,
  type Survey,
} from "./engine/protocol";
import { Tabs } from "./engine/tabs";
import { base, places, startEngine } from "./page-worker";
import * as settings from "./settings";
import { Signal } from "./signal";

export type Stage =
  | { name: "looking" }
  | { name: "welcome"; survey: Survey }
  | { name: "loading"; progress: Progress | null; began_ms: number }
  | { name: "ready" }
  | { name: "failed"; message: string; needsModel: boolean }
  /** Another tab has the engine and is not ready yet. */
  | { name: "elsewhere" };

interface Owner {
  refresh(): Promise<void>;
  serve(request: Request, onEvent: (event: unknown) => void): Promise<unknown>;
  reset(): void;
  fail(error: unknown): void;
}

export class Loader {
  readonly stage = new Signal<Stage>({ name: "looking" });
  readonly survey = new Signal<Survey | null>(null);
  /** Whether another tab runs the model for this one. */
  readonly remote = new Signal(false);
  #worker: EngineClient | null = null;
  #choice: ModelChoice = { kind: "page" };
  #tabs: Tabs;
  #turn: AbortController | null = null;

  constructor(private readonly owner: Owner) {
    this.#tabs = new Tabs({
      serve: (request, onEvent) => owner.serve(request, onEvent),
      isOwner: () => this.#worker !== null && this.stage.value.name === "ready",
      onChanged: () => this.remote.value && void owner.refresh().catch((e) => this.#unread(e)),
      onHere: () => void this.#follow(),
      onLetGo: () => void this.#giveUp(),
    });
  }

  link(): Link {
    if (this.remote.value) return this.#tabs;
    if (!this.#worker) throw new EngineError("the model is not loaded yet", "failed");
    return this.#worker;
  }

  /** Looks what is here, and loads it if nothing has to be asked first. */
  async start(): Promise<void> {
    if (!isSecureContext) {
      const message = "Browsers keep files only for pages from https:// or localhost.";
      this.stage.value = { name: "failed", message, needsModel: false };
      return;
    }
    if (settings.modelPath !== null) {
      return this.load({ kind: "path", path: settings.modelPath });
    }
    const survey = await this.look();
    const chosen = settings.recall("model");
    const kept = survey.kept.find(({ key }) => key === chosen);
    if (kept && kept.key !== survey.announced?.sha256) {
      return this.load({ kind: "kept", key: kept.key });
    }
    // A download that began was wanted; it goes on.
    if (survey.ready || survey.partial > 0) return this.load({ kind: "page" });
    const [first] = survey.kept;
    if (survey.announced === null && first) return this.load({ kind: "kept", key: first.key });
    this.stage.value = { name: "welcome", survey };
  }

  /** What lies here, read anew. */
  async look(): Promise<Survey> {
    const worker = this.#worker ?? startEngine();
    try {
      this.survey.value = await worker.call("survey", { base });
    } finally {
      if (worker !== this.#worker) worker.close();
    }
    return this.survey.value;
  }

  /** Loads a model in a fresh worker. */
  async load(choice: ModelChoice, options: { patient?: boolean } = {}): Promise<void> {
    this.#choice = choice;
    this.#turn?.abort();
    this.#worker?.close();
    this.remote.value = false;
    this.owner.reset();
    const worker = startEngine();
    this.#worker = worker;
    const began_ms = Date.now();
    this.stage.value = { name: "loading", progress: null, began_ms };
    const params = {
      ...places,
      device: settings.device(),
      model: choice,
      suitesPath: settings.suitesPath,
      patient: options.patient ?? false,
    };
    try {
      await worker.call("load", params, (progress) => {
        if (this.#worker === worker) this.stage.value = { name: "loading", progress, began_ms };
      });
      if (this.#worker !== worker) return;
      await this.owner.refresh();
      settings.remember("model", choice.kind === "kept" ? choice.key : "");
      if (choice.kind !== "file") settings.remember("had-model", "yes");
      this.stage.value = { name: "ready" };
      this.#tabs.say("here");
      // Asked once there is something worth keeping; the browser may say no.
      void navigator.storage.persist().catch(() => false);
    } catch (error) {
      if (this.#worker === worker) this.#loadFailed(error);
    }
  }

  /** Loads the same model again, as after a lost GPU. */
  reload(): Promise<void> {
    return this.load(this.#choice, { patient: true });
  }

  async setDevice(choice: DeviceChoice): Promise<void> {
    settings.rememberDevice(choice);
    await this.reload();
  }

  /** The key in OPFS of the model that runs, as far as the page chose it. */
  runningKey(): string | null {
    return this.#choice.kind === "kept" ? this.#choice.key : null;
  }

  /** What was asked to be the model. */
  get choice(): ModelChoice {
    return this.#choice;
  }

  /** Takes the engine over from the tab that has it. */
  async takeOver(): Promise<void> {
    this.#tabs.say("let go");
    await this.load(this.#choice, { patient: true });
  }

  sayChanged(): void {
    if (!this.remote.value) this.#tabs.say("changed");
  }

  #loadFailed(error: unknown): void {
    this.#worker?.close();
    this.#worker = null;
    const code = error instanceof EngineError ? error.code : "failed";
    const message = error instanceof Error ? error.message : String(error);
    if (code === "elsewhere") this.#waitForTurn();
    else this.stage.value = { name: "failed", message, needsModel: code === "no-model" };
  }

  /** Uses the tab that has the engine, and waits for the day that it is closed. */
  #waitForTurn(): void {
    this.stage.value = { name: "elsewhere" };
    this.#tabs.say("who");
    const turn = new AbortController();
    this.#turn = turn;
    navigator.locks
      // The lock is let go at once: the worker of this tab takes it.
      .request(ENGINE_LOCK, { signal: turn.signal }, () => undefined)
      .then(
        () => {
          this.#tabs.close();
          return this.load(this.#choice);
        },
        () => undefined,
      );
  }

  /** The owner is ready: its engine is this tab's. */
  async #follow(): Promise<void> {
    if (this.stage.value.name !== "elsewhere") return;
    this.remote.value = true;
    try {
      await this.owner.refresh();
      this.stage.value = { name: "ready" };
    } catch (error) {
      this.#unread(error);
    }
  }

  /** An owner that closed while it was read is no failure: this tab reads again as the owner. */
  #unread(error: unknown): void {
    if (!(error instanceof EngineError && error.code === "elsewhere")) this.owner.fail(error);
  }

  #giveUp(): void {
    this.#worker?.close();
    this.#worker = null;
    this.owner.reset();
    // The other tab asked for the lock first, and has it before this one's turn.
    setTimeout(() => this.#waitForTurn(), 300);
    this.stage.value = { name: "elsewhere" };
  }
}
