/**
 * Work that tells events, as something to iterate over.
 *
 * It knows nothing of how the work is done. Invariant: the work begins at once and is not held up by a slow reader; the
 * iteration ends when the work does, throws what it threw, and a reader who leaves early ends the work.
 */

import type { CycleReport, LearnEvent } from "../engine/contract";

/** A cycle's events; the last one is the verdict with its whole report. */
export type LearnEvents = LearnEvent | ({ type: "verdict" } & CycleReport);

/** A cycle as its events. */
export function cycle(
  work: (
    call: { signal: AbortSignal },
    hear: (event: LearnEvent) => void,
  ) => Promise<CycleReport>,
  signal?: AbortSignal,
): EventStream<LearnEvents> {
  return new EventStream<LearnEvents>(async (tell, signal) => {
    const report = await work({ signal }, (event) => tell(event));
    tell({ type: "verdict", ...report });
  }, signal);
}

/** An iteration that has begun. Leaving its loop (`break`, `return`, a throw) aborts the work. */
export class EventStream<T> implements AsyncIterableIterator<T, undefined> {
  #told: T[] = [];
  #readers: PromiseWithResolvers<IteratorResult<T, undefined>>[] = [];
  #end: { error: unknown } | "done" | null = null;
  #leaving = new AbortController();

  /** @internal */
  constructor(
    work: (tell: (event: T) => void, signal: AbortSignal) => Promise<void>,
    signal?: AbortSignal,
  ) {
    const left = this.#leaving.signal;
    const either = signal ? AbortSignal.any([signal, left]) : left;
    work((event) => this.#tell(event), either).then(
      () => this.#finish("done"),
      (error: unknown) => this.#finish({ error }),
    );
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next event. */
  next(): Promise<IteratorResult<T, undefined>> {
    const reader = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.#readers.push(reader);
    this.#serve();
    return reader.promise;
  }

  /** Leaves: the work is aborted, and there are no more events. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#told = [];
    this.#finish("done");
    this.#leaving.abort();
    return { done: true, value: undefined };
  }

  #tell(event: T): void {
    if (this.#end !== null) return;
    this.#told.push(event);
    this.#serve();
  }

  #finish(end: { error: unknown } | "done"): void {
    this.#end ??= end;
    this.#serve();
  }

  #serve(): void {
    while (this.#readers.length > 0 && (this.#told.length > 0 || this.#end !== null)) {
      const reader = this.#readers.shift();
      if (this.#told.length > 0) reader?.resolve({ done: false, value: this.#told.shift() as T });
      else if (this.#end === "done") reader?.resolve({ done: true, value: undefined });
      else {
        reader?.reject(this.#end?.error);
        // An error is thrown once; what comes after it is the end.
        this.#end = "done";
      }
    }
  }
}
