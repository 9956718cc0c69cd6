/**
 * The history of what was learned: which versions there are, which one answers, and their way in and out as files.
 *
 * It knows nothing of adapters. Invariant: nothing but `rollback` and a verdict
 * changes which version answers.
 */

import { packVersion, unpackVersion } from "../adapter-file";
import type { AdapterForm, JournalEntry, LearnOptions, Version } from "../engine/contract";
import { EngineError } from "../engine/protocol";
import type { CallOptions, Session } from "./session";
import { cycle, type EventStream, type LearnEvents } from "./stream";

/** See {@link Apprentice.versions}. */
export class Versions {
  /** @internal */
  constructor(private readonly session: Session) {}

  /** All versions, the newest first. */
  list(options?: CallOptions): Promise<Version[]> {
    return this.session.call("log", null, options);
  }

  /**
   * Lets another version answer that was learned here: an id or a tag, `"base"` for the model as it came, or (without one) HEAD's parent. Gives
   * the id of the version that answers now; `null` is the base model.
   */
  async rollback(version?: string, options?: CallOptions): Promise<string | null> {
    return (await this.session.call("rollback", version ?? null, options)).head;
  }

  /** Gives a version a name that stays; a name that exists is not moved. */
  async tag(name: string, version: string, options?: CallOptions): Promise<void> {
    await this.session.call("tag", { name, version }, options);
  }

  /** Takes a name away; the version stays. */
  async untag(name: string, options?: CallOptions): Promise<void> {
    await this.session.call("untag", name, options);
  }

  /**
   * A version's adapter as a file: `adapter` is exact and knows its base model, `gguf` is for llama.cpp, `peft` a zip of
   * PEFT's two files.
   */
  async export(
    version: string,
    form: AdapterForm = "adapter",
    options?: CallOptions,
  ): Promise<Blob> {
    const bytes = await this.session.call("exportVersion", { version, form }, options);
    if (form !== "adapter") return new Blob([bytes], { type: "application/octet-stream" });
    const info = await this.session.call("info", null, options);
    const found = (await this.list(options)).find(({ id, head, tags }) => {
      return id.startsWith(version) || tags.includes(version) || (head && version === "HEAD");
    });
    if (!found) throw new EngineError(`there is no version ${version}`, "failed");
    return packVersion(info, found, bytes);
  }

  /**
   * Takes a file of any form into the history and gives the new version's id. It can be asked by that `model` at once, and
   * answers by itself once it was adopted. An `adapter` that was made for another base model is refused.
   */
  async import(file: Blob, options?: CallOptions): Promise<string> {
    const info = await this.session.call("info", null, options);
    const named = file instanceof File ? file : new File([file], "the file");
    return this.session.call("importVersion", await unpackVersion(info, named), options);
  }

  /**
   * Examines an imported version beside HEAD as `learn` examines a candidate, and lets both together answer if nothing that
   * was learned here gets worse. The events are those of a cycle.
   */
  adopt(version: string, options: LearnOptions & CallOptions = {}): EventStream<LearnEvents> {
    const { signal, ...rest } = options;
    const params = { version, options: rest };
    return cycle((call, hear) => this.session.call("adopt", params, call, hear), signal);
  }

  /** What happened to HEAD, or did not, the oldest first. */
  journal(options?: CallOptions): Promise<JournalEntry[]> {
    return this.session.call("journal", null, options);
  }
}
