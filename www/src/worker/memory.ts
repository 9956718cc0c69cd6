/**
 * The engine's home where the browser refuses to keep anything: all of it in memory.
 *
 * It knows nothing of what the bytes mean. Invariant: it answers as the kept home does, until the
 * page is closed.
 */

import type { JsStore, Write } from "../engine/contract";

export class MemoryStore implements JsStore {
  #tables = new Map<string, Map<string, Uint8Array>>();
  #blobs = new Map<string, Uint8Array>();

  async get(table: string, key: string): Promise<Uint8Array | undefined> {
    return this.#table(table).get(key);
  }

  async list(table: string): Promise<[string, Uint8Array][]> {
    return [...this.#table(table)].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  async apply(writes: Write[]): Promise<void> {
    for (const [table, key, value] of writes) {
      if (value === null) this.#table(table).delete(key);
      else this.#table(table).set(key, value.slice());
    }
  }

  async putBlob(hash: string, bytes: Uint8Array): Promise<void> {
    this.#blobs.set(hash, bytes.slice());
  }

  async getBlob(hash: string): Promise<Uint8Array | undefined> {
    return this.#blobs.get(hash);
  }

  async deleteBlob(hash: string): Promise<void> {
    this.#blobs.delete(hash);
  }

  async listBlobs(): Promise<string[]> {
    return [...this.#blobs.keys()].sort();
  }

  #table(name: string): Map<string, Uint8Array> {
    const table = this.#tables.get(name) ?? new Map<string, Uint8Array>();
    this.#tables.set(name, table);
    return table;
  }
}
