/**
 * An engine that is loaded, and its calls as a program makes them: one after another, each of them abortable.
 *
 * It knows nothing of shapes. Invariant: an aborted call rejects at once with the signal's reason, and `stop` is only said
 * while the call that it is meant for is the last one of its kind that the worker was given, so that it cannot end another.
 */

import type { EngineClient } from "../engine/client";
import type { Info, Progress } from "../engine/contract";
import { EngineError, type LoadParams, type Method, type Methods } from "../engine/protocol";

/** What every call takes besides. */
export interface CallOptions {
  /** Ends the call: it rejects with the signal's reason. What was being written is finished or not begun. */
  signal?: AbortSignal | undefined;
}

/** What runs until it is stopped, and by which word. */
const STOPPED_BY: Partial<Record<Method, "chat" | "learn">> = {
  chat: "chat",
  learn: "learn",
  adopt: "learn",
  evaluate: "learn",
  forget: "learn",
};

/** Hears events; one that gives `false` has heard enough, and the call ends with what there is. */
type Listener<M extends Method> = (event: Methods[M]["event"]) => unknown;

export class Session {
  #client: EngineClient | null = null;
  #queues = { chat: Promise.resolve(), learn: Promise.resolve() };

  constructor(
    private readonly start: () => EngineClient,
    private readonly params: LoadParams,
  ) {}

  /** Loads the model, in the place of an engine that was loaded before. */
  async load(signal?: AbortSignal, onProgress?: (progress: Progress) => void): Promise<Info> {
    signal?.throwIfAborted();
    const patient = this.#client !== null;
    this.close();
    const client = this.start();
    this.#client = client;
    const close = () => client.close();
    signal?.addEventListener("abort", close, { once: true });
    try {
      return await client.call("load", { ...this.params, patient }, onProgress);
    } catch (error) {
      this.close();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", close);
    }
  }

  /** Calls the engine. */
  async call<M extends Method>(
    method: M,
    params: Methods[M]["params"],
    { signal }: CallOptions = {},
    onEvent?: Listener<M>,
  ): Promise<Methods[M]["result"]> {
    signal?.throwIfAborted();
    const kind = STOPPED_BY[method];
    if (!kind) return unlessAborted(this.#loaded().call(method, params, onEvent), signal);
    const before = this.#queues[kind];
    const work = before.then(() => this.#stoppable(kind, method, params, signal, onEvent));
    this.#queues[kind] = work.then(
      () => undefined,
      () => undefined,
    );
    return unlessAborted(work, signal);
  }

  /** Ends the worker at once; every call that waits is rejected. */
  close(): void {
    this.#client?.close();
    this.#client = null;
  }

  async #stoppable<M extends Method>(
    kind: "chat" | "learn",
    method: M,
    params: Methods[M]["params"],
    signal?: AbortSignal,
    onEvent?: Listener<M>,
  ): Promise<Methods[M]["result"]> {
    // Its turn may come after it was given up.
    signal?.throwIfAborted();
    const client = this.#loaded();
    const stop = () => void client.call("stop", kind).catch(() => undefined);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return await client.call(method, params, (event) => {
        // A word that came before the engine had begun was not heard.
        if (signal?.aborted || onEvent?.(event) === false) stop();
      });
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  #loaded(): EngineClient {
    if (this.#client) return this.#client;
    throw new EngineError("this apprentice was closed; create another", "failed");
  }
}

/** What work gives, unless the signal comes first. */
function unlessAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
