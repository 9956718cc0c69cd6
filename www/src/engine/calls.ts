/**
 * Calls that wait for their replies, by id: what a worker's wire and another tab's have in common.
 *
 * It knows nothing of how messages travel. Invariant: every call ends with exactly one result or
 * error; when the wire is cut, all that wait are rejected.
 */

import { EngineError, type ErrorCode, type Method, type Methods, type Reply } from "./protocol";

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  onEvent?: ((event: never) => void) | undefined;
}

export class Calls {
  #waiting = new Map<number, Waiting>();
  #next = 1;

  /** A new call; `send` puts its request on the wire. */
  begin<M extends Method>(
    send: (id: number) => void,
    onEvent?: (event: Methods[M]["event"]) => void,
  ): Promise<Methods[M]["result"]> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        resolve: resolve as (result: unknown) => void,
        reject,
        onEvent: onEvent as Waiting["onEvent"],
      });
      send(id);
    });
  }

  receive(reply: Reply): void {
    const waiting = this.#waiting.get(reply.id);
    if (!waiting) return;
    if ("event" in reply) {
      waiting.onEvent?.(reply.event as never);
      return;
    }
    this.#waiting.delete(reply.id);
    if ("error" in reply) waiting.reject(new EngineError(reply.error.message, reply.error.code));
    else waiting.resolve(reply.result);
  }

  end(message: string, code: ErrorCode = "failed"): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of all) waiting.reject(new EngineError(message, code));
  }
}
