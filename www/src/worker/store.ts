/**
 * The engine's home in a browser: rows in IndexedDB, blobs in OPFS; a named home has a database and a folder of its own.
 *
 * It knows nothing of what the bytes mean. Invariant: `apply` is one strict transaction, and a
 * blob has its final name only after all its bytes were flushed.
 */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { JsStore, Write } from "../engine/contract";
import { ofHome, safe } from "../engine/names";
import { MemoryStore } from "./memory";
import { folder, writeFile } from "./opfs";

const DATABASE = "apprentice";
const DATABASE_VERSION = 1;
const BLOBS = "adapters";
export const TABLES = ["examples", "versions", "journal", "refs", "quarantine", "cache"] as const;

type Table = (typeof TABLES)[number];
type Schema = DBSchema & Record<Table, { key: string; value: Uint8Array }>;

/** The home, and whether the browser refused to keep what it holds. */
export interface Home {
  store: JsStore;
  isRefused: boolean;
}

/** Opens a home by its name; the page's own is empty, and `null` is kept nowhere. */
export async function openHome(name: string | null): Promise<Home> {
  if (name === null) return { store: new MemoryStore(), isRefused: false };
  const [database, blobs] = [ofHome(DATABASE, name), ofHome(BLOBS, name)];
  try {
    // Both are asked before anything is written: half a home would be worse than none.
    await folder(blobs);
    return { store: await openStore(database, blobs), isRefused: false };
  } catch {
    return { store: new MemoryStore(), isRefused: true };
  }
}

async function openStore(name: string, blobs: string): Promise<JsStore> {
  const database = await openDB<Schema>(name, DATABASE_VERSION, {
    upgrade(db) {
      for (const table of TABLES) db.createObjectStore(table);
    },
  });
  return new BrowserStore(database, blobs);
}

class BrowserStore implements JsStore {
  constructor(
    private readonly database: IDBPDatabase<Schema>,
    private readonly blobs: string,
  ) {}

  get(table: string, key: string): Promise<Uint8Array | undefined> {
    return this.database.get(known(table), key);
  }

  async list(table: string): Promise<[string, Uint8Array][]> {
    const store = this.database.transaction(known(table)).store;
    const [keys, values] = await Promise.all([store.getAllKeys(), store.getAll()]);
    return keys.map((key, row) => [key, values[row] as Uint8Array]);
  }

  async apply(writes: Write[]): Promise<void> {
    if (writes.length === 0) return;
    const tables = [...new Set(writes.map(([table]) => known(table)))];
    const transaction = this.database.transaction(tables, "readwrite", { durability: "strict" });
    try {
      for (const [table, key, value] of writes) {
        const store = transaction.objectStore(known(table));
        // A copy, since the bytes may be a view of the wasm heap, which moves when it grows.
        const request = value === null ? store.delete(key) : store.put(value.slice(), key);
        // A failed request aborts the transaction, and `done` reports it once for all of them.
        request.catch(() => undefined);
      }
    } catch (error) {
      // What throws at once, as a bad key does, would leave the writes before it to commit.
      transaction.abort();
      await transaction.done.catch(() => undefined);
      throw error;
    }
    await transaction.done;
  }

  async putBlob(hash: string, bytes: Uint8Array): Promise<void> {
    await writeFile(this.blobs, safe(hash), bytes.slice());
  }

  async getBlob(hash: string): Promise<Uint8Array | undefined> {
    const blobs = await folder(this.blobs);
    try {
      const file = await (await blobs.getFileHandle(safe(hash))).getFile();
      return new Uint8Array(await file.arrayBuffer());
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
      throw error;
    }
  }

  async deleteBlob(hash: string): Promise<void> {
    const blobs = await folder(this.blobs);
    await blobs.removeEntry(safe(hash)).catch((error: unknown) => {
      // Deleting what is not there is done already: a repeated clean-up must not fail.
      if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
    });
  }

  async listBlobs(): Promise<string[]> {
    const names: string[] = [];
    for await (const name of (await folder(this.blobs)).keys()) {
      if (!name.endsWith(".part")) names.push(name);
    }
    return names.sort();
  }
}

function known(table: string): Table {
  if ((TABLES as readonly string[]).includes(table)) return table as Table;
  throw new Error(`the store has no table "${table}"; it has ${TABLES.join(", ")}`);
}
