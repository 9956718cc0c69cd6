/**
 * This end of the wire to the engine's worker: calls become promises, events callbacks.
 *
 * It knows nothing of the screen, nor where the worker's script lies. Invariant: when the worker dies or is ended, every call that
 * waits is rejected; none hangs.
 */

import { Calls } from "./calls";
import type { Link, Method, Methods, Reply, Request } from "./protocol";

export class EngineClient implements Link {
  #worker: Worker;
  #calls = new Calls();

  /** Speaks with a worker that was just started. */
  constructor(worker: Worker) {
    this.#worker = worker;
    this.#worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#calls.receive(data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#calls.end(event.message || "the engine's worker could not start");
    };
  }

  call<M extends Method>(
    method: M,
    params: Methods[M]["params"],
    onEvent?: (event: Methods[M]["event"]) => void,
  ): Promise<Methods[M]["result"]> {
    const send = (id: number) => {
      const request: Request<M> = { id, method, params };
      this.#worker.postMessage(request);
    };
    return this.#calls.begin<M>(send, onEvent);
  }

  /** Ends the worker at once, with the locks and file handles that it holds. */
  close(): void {
    this.#worker.terminate();
    this.#calls.end("the engine was closed");
  }
}
