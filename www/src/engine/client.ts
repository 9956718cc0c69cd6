/**
 * The page's end of the wire to the engine's worker: calls become promises, events callbacks.
 *
 * It knows nothing of the screen. Invariant: when the worker dies or is ended, every call that
 * waits is rejected; none hangs.
 */

import { EngineError, type Method, type Methods, type Reply, type Request } from "./protocol";

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  onEvent?: ((event: never) => void) | undefined;
}

export class EngineClient {
  #worker: Worker;
  #waiting = new Map<number, Waiting>();
  #next = 1;

  constructor() {
    this.#worker = new Worker(new URL("../worker/worker.ts", import.meta.url), {
      type: "module",
      name: "apprentice-engine",
    });
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end(event.message || "the engine's worker could not start");
    };
  }

  call<M extends Method>(
    method: M,
    params: Methods[M]["params"],
    onEvent?: (event: Methods[M]["event"]) => void,
  ): Promise<Methods[M]["result"]> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, {
        resolve: resolve as (result: unknown) => void,
        reject,
        onEvent: onEvent as Waiting["onEvent"],
      });
      const request: Request<M> = { id, method, params };
      this.#worker.postMessage(request);
    });
  }

  /** Ends the worker at once, with the locks and file handles that it holds. */
  close(): void {
    this.#worker.terminate();
    this.#end("the engine was closed");
  }

  #receive(reply: Reply): void {
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

  #end(message: string): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiting of all) waiting.reject(new EngineError(message, "failed"));
  }
}
