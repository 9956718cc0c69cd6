/**
 * What is kept on this device: the examples one by one, and the whole home as one file.
 *
 * It knows nothing of how examples are used. Invariant: after `import` and `erase` the engine is loaded anew, so that it holds
 * nothing of what was there before.
 */

import type { Example, ForgetReport, LearnEvent } from "../engine/contract";
import type { CallOptions, Session } from "./session";

/** See {@link Apprentice.data}. */
export class Data {
  /** @internal */
  constructor(private readonly session: Session) {}

  /** All examples, the oldest first. */
  list(options?: CallOptions): Promise<Example[]> {
    return this.session.call("examples", null, options);
  }

  /**
   * Deletes an example and every version that saw it; HEAD goes back to the last one that did not. What those versions had
   * learned besides waits for the next `learn`.
   */
  async delete(id: string, options?: CallOptions): Promise<void> {
    await this.session.call("deleteExample", id, options);
  }

  /**
   * Deletes an example and learns all that came after it again, as if it had never been taught. Aborted, it has changed
   * nothing, and goes on where it was when it is asked for again.
   */
  forget(
    id: string,
    options: CallOptions & { onEvent?: (event: LearnEvent) => void } = {},
  ): Promise<ForgetReport> {
    return this.session.call("forget", id, options, ignored(options.onEvent));
  }

  /** Takes an example back into training that was set aside. */
  async release(id: string, options?: CallOptions): Promise<void> {
    await this.session.call("releaseExample", id, options);
  }

  /** Everything that was taught and learned, as one file. */
  export(options?: CallOptions): Promise<Blob> {
    return this.session.call("exportHome", null, options);
  }

  /** Puts what such a file holds in the place of everything here. A file that is not whole changes nothing. */
  async import(file: Blob, options: CallOptions = {}): Promise<void> {
    await this.session.call("importHome", file, options);
    await this.session.load(options.signal);
  }

  /** Leaves nothing of what was taught and learned; the model's file stays. */
  async erase(options: CallOptions = {}): Promise<void> {
    await this.session.call("erase", null, options);
    await this.session.load(options.signal);
  }
}

/** A listener whose answer says nothing. */
export function ignored<E>(listener?: (event: E) => void): (event: E) => void {
  return (event) => void listener?.(event);
}
