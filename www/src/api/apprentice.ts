/**
 * The package's one class: a model that answers, takes lessons, learns, and can go back.
 *
 * It knows nothing of workers and of OpenAI's shapes. Invariant: an instance has one worker and one home from `create` to
 * `close`; all that it keeps stays on this device.
 */

import type {
  DeviceChoice,
  EvaluateOptions,
  Evaluation,
  Info,
  LearnEvent,
  LearnOptions,
  Progress,
  TeachResult,
} from "../engine/contract";
import type { ModelChoice } from "../engine/protocol";
import { type Chat, chatOf } from "./completions";
import { Data, ignored } from "./data";
import { type AnyLesson, toLesson } from "./lessons";
import { engineAddress, startEngine } from "./places";
import { type CallOptions, Session } from "./session";
import { cycle, type EventStream, type LearnEvents } from "./stream";
import { Versions } from "./versions";

/** What {@link Apprentice.create} takes. */
export interface CreateOptions extends CallOptions {
  /**
   * A GGUF: an address, which is fetched once and kept in this origin's private files, or a file, which is read where it
   * lies. Other origins must allow it (CORS).
   */
  model: string | URL | Blob;
  /** `auto` (the default) takes a hardware GPU, else the CPU. */
  device?: DeviceChoice;
  /** Hears how far fetching and loading have come. */
  onProgress?: (progress: Progress) => void;
  /**
   * A folder of this origin with `core.jsonl`, `language.jsonl` and `refusals.jsonl`: what a candidate is examined in, instead
   * of the built-in questions.
   */
  suites?: string | URL;
  /**
   * The name of what is kept: letters, digits, `-` and `_`. Each name is a home of its own. Pages of one origin that open the
   * same share one engine: the first has it, the others go through it with the model that it loaded, and one of them loads
   * its own when the first is closed. `null` keeps nothing of what is taught.
   */
  storage?: string | null;
}

/** What {@link Apprentice.evaluate} takes. */
export interface EvaluateCall extends EvaluateOptions, CallOptions {
  /** Hears how far each suite has come. */
  onEvent?: (event: LearnEvent) => void;
}

/**
 * A language model in this tab that learns from corrections.
 *
 * ```ts
 * const apprentice = await Apprentice.create({ model: "/model.gguf" });
 * const answer = await apprentice.chat.completions.create({
 *   messages: [{ role: "user", content: "What is the code of gate seven?" }],
 * });
 * await apprentice.teach({ prompt: "What is the code of gate seven?", answer: "4182." });
 * for await (const event of apprentice.learn()) console.log(event);
 * ```
 *
 * Every call can be aborted, and rejects then with the signal's reason. Other failures are an {@link EngineError}, whose
 * `code` says what kind it is: `elsewhere` (the page that ran the model was closed: call again), `lost-device` (close this
 * one and create another), `quota`, `refused` (a request that cannot be honoured), `failed`.
 */
export class Apprentice {
  /** OpenAI's `chat.completions.create`. */
  readonly chat: Chat;
  /** The history of what was learned. */
  readonly versions: Versions;
  /** What is kept on this device. */
  readonly data: Data;
  #session: Session;

  private constructor(session: Session) {
    this.#session = session;
    this.chat = chatOf(session);
    this.versions = new Versions(session);
    this.data = new Data(session);
  }

  /** Fetches the model if it is not here yet, loads it, and lets the version answer that answered last. */
  static async create(options: CreateOptions): Promise<Apprentice> {
    const { model, device = "auto", suites, storage = "", signal, onProgress } = options;
    const session = new Session(startEngine, {
      base: document.baseURI,
      engine: engineAddress(),
      storage,
      device,
      model: choiceOf(model),
      suitesPath: suites === undefined ? null : String(suites),
      patient: false,
    });
    await session.load(signal, onProgress);
    return new Apprentice(session);
  }

  /** What runs, where, and what a person should know about it. */
  info(options?: CallOptions): Promise<Info> {
    return this.#session.call("info", null, options);
  }

  /** Keeps lessons for the next {@link learn}: all of them, or none if one is wrong. */
  async teach(lessons: AnyLesson | AnyLesson[], options?: CallOptions): Promise<TeachResult> {
    const all = Array.isArray(lessons) ? lessons : [lessons];
    return this.#session.call("teach", all.map(toLesson), options);
  }

  /**
   * Trains a candidate on what was taught and examines it; it becomes the version that answers only if it passes. Questions
   * are answered meanwhile. Leaving the loop, like the signal, stops the cycle, and nothing has changed then.
   */
  learn(options: LearnOptions & CallOptions = {}): EventStream<LearnEvents> {
    const { signal, ...rest } = options;
    return cycle((call, hear) => this.#session.call("learn", rest, call, hear), signal);
  }

  /** Scores a version on the suites; nothing changes. */
  evaluate(options: EvaluateCall = {}): Promise<Evaluation> {
    const { signal, onEvent, ...rest } = options;
    return this.#session.call("evaluate", rest, { signal }, ignored(onEvent));
  }

  /** Ends the engine at once; calls that wait are rejected. What was kept stays. */
  close(): void {
    this.#session.close();
  }
}

function choiceOf(model: string | URL | Blob): ModelChoice {
  if (!(model instanceof Blob)) return { kind: "address", url: String(model) };
  return { kind: "file", file: model instanceof File ? model : new File([model], "model.gguf") };
}
