/**
 * An engine that is loaded, here or in another page, and its calls as a program makes them: one after another, each of them
 * abortable.
 *
 * It knows nothing of shapes. Invariant: an aborted call rejects at once with the signal's reason, and `stop` is only said
 * while the call that it is meant for is the last one of its kind that the worker was given, so that it cannot end another.
 */

import type { EngineClient } from "../engine/client";
import type { Info, Progress } from "../engine/contract";
import {
  EngineError,
  type Link,
  type LoadParams,
  type Method,
  type Methods,
  type Request,
} from "../engine/protocol";
import { Shared } from "./shared";

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
  #isReady = false;
  /** The other pages with this home; none where nothing is kept. */
  #shared: Shared | null = null;
  /** While the engine is loaded anew, since the page that had the home is gone. */
  #taking: Promise<unknown> = Promise.resolve();
  /** What other pages have stopped, as page and kind. */
  #stopped = new Set<string>();
  #queues = { chat: Promise.resolve(), learn: Promise.resolve() };

  constructor(
    private readonly start: () => EngineClient,
    private readonly params: LoadParams,
  ) {}

  /** Loads the model, in the place of an engine that was loaded before. */
  async load(signal?: AbortSignal, onProgress?: (progress: Progress) => void): Promise<Info> {
    signal?.throwIfAborted();
    const patient = this.#client !== null;
    this.#end();
    const client = this.start();
    this.#client = client;
    const close = () => client.close();
    signal?.addEventListener("abort", close, { once: true });
    try {
      const info = await client.call("load", { ...this.params, patient }, onProgress);
      this.#isReady = true;
      this.#others()?.announce();
      return info;
    } catch (error) {
      this.#end();
      signal?.throwIfAborted();
      const shared = isElsewhere(error) ? this.#others() : null;
      if (shared === null) throw error;
      return await shared.follow(signal);
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
    if (!kind) {
      const called = this.#link().then((link) => link.call(method, params, onEvent));
      return unlessAborted(called, signal);
    }
    const before = this.#queues[kind];
    const work = before.then(() => this.#stoppable(kind, method, params, signal, onEvent));
    this.#queues[kind] = work.then(
      () => undefined,
      () => undefined,
    );
    return unlessAborted(work, signal);
  }

  /** Ends the worker at once; every call that waits is rejected. Another page that has this home takes it over. */
  close(): void {
    this.#end();
    this.#shared?.leave();
    this.#shared = null;
    this.#taking = Promise.resolve();
  }

  #end(): void {
    this.#isReady = false;
    this.#client?.close();
    this.#client = null;
  }

  #others(): Shared | null {
    const { storage } = this.params;
    if (storage === null) return null;
    this.#shared ??= new Shared(storage, {
      own: () => (this.#isReady ? this.#client : null),
      serve: (request, onEvent, from) => this.#serve(request, onEvent, from),
      onFree: () => {
        const taking = this.load();
        this.#taking = taking.catch(() => undefined);
        return taking;
      },
    });
    return this.#shared;
  }

  /** Another page's call, in turn with this page's own. Its `stop` ends its call of that kind, and nobody else's. */
  async #serve(
    { method, params }: Request,
    onEvent: (event: unknown) => void,
    from: string,
  ): Promise<unknown> {
    if (method === "stop") {
      this.#stopped.add(`${from}/${String(params)}`);
      return null;
    }
    const key = `${from}/${STOPPED_BY[method]}`;
    this.#stopped.delete(key);
    return this.call(method, params as never, {}, (event) => {
      onEvent(event);
      return !this.#stopped.has(key);
    });
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
    const link = await this.#link();
    const stop = () => void link.call("stop", kind).catch(() => undefined);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return await link.call(method, params, (event) => {
        // A word that came before the engine had begun was not heard.
        if (signal?.aborted || onEvent?.(event) === false) stop();
      });
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Whoever runs calls now. */
  async #link(): Promise<Link> {
    await this.#taking;
    if (this.#client) return this.#client;
    if (this.#shared?.follows) return this.#shared.link;
    throw new EngineError("this apprentice was closed; create another", "failed");
  }
}

function isElsewhere(error: unknown): boolean {
  return error instanceof EngineError && error.code === "elsewhere";
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
