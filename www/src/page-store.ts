/**
 * What the page itself keeps in IndexedDB: conversations, and handles of model files on the disk.
 *
 * It knows nothing of the engine's home, which the worker owns. Invariant: where the browser refuses
 * IndexedDB, the same calls work on memory, and the engine's warnings say that nothing stays.
 */

import { type IDBPDatabase, openDB } from "idb";
import { type Conversation, freshId, type Turn } from "./conversations";

const DATABASE = "apprentice-page";
const THREADS = "threads";
const HANDLES = "handles";
/** The one conversation that the first version of the page kept. */
const OLD = { store: "conversations", key: "current" };

/** A model file that a person picked, readable in place where the browser allows. */
export interface FileEntry {
  name: string;
  bytes: number;
  handle: FileSystemFileHandle;
}

export interface PageStore {
  conversations(): Promise<Conversation[]>;
  conversation(id: string): Promise<Conversation | undefined>;
  putConversation(conversation: Conversation): Promise<void>;
  deleteConversation(id: string): Promise<void>;
  files(): Promise<FileEntry[]>;
  putFile(file: FileEntry): Promise<void>;
  deleteFile(name: string): Promise<void>;
  clear(): Promise<void>;
}

let opened: Promise<PageStore> | undefined;

/** The store, opened once. */
export function openPageStore(): Promise<PageStore> {
  opened ??= open();
  return opened;
}

async function open(): Promise<PageStore> {
  try {
    const database = await openDB(DATABASE, 2, {
      async upgrade(db, _old, _new, transaction) {
        db.createObjectStore(THREADS);
        db.createObjectStore(HANDLES);
        if (!db.objectStoreNames.contains(OLD.store)) return;
        const turns = (await transaction.objectStore(OLD.store).get(OLD.key)) as Turn[] | undefined;
        if (turns?.length) {
          const thread = firstThread(turns);
          await transaction.objectStore(THREADS).put(thread, thread.id);
        }
        db.deleteObjectStore(OLD.store);
      },
    });
    return new Kept(database);
  } catch {
    return new Passing();
  }
}

function firstThread(turns: Turn[]): Conversation {
  const now = Date.now();
  const title = (turns[0]?.content ?? "").slice(0, 60);
  const times = { created_ms: now, updated_ms: now };
  return { id: freshId(), title, named: false, ...times, system: "", sampling: {}, turns };
}

class Kept implements PageStore {
  constructor(private readonly database: IDBPDatabase) {}

  conversations(): Promise<Conversation[]> {
    return this.database.getAll(THREADS);
  }

  conversation(id: string): Promise<Conversation | undefined> {
    return this.database.get(THREADS, id);
  }

  async putConversation(conversation: Conversation): Promise<void> {
    await this.database.put(THREADS, conversation, conversation.id);
  }

  async deleteConversation(id: string): Promise<void> {
    await this.database.delete(THREADS, id);
  }

  files(): Promise<FileEntry[]> {
    return this.database.getAll(HANDLES);
  }

  async putFile(file: FileEntry): Promise<void> {
    await this.database.put(HANDLES, file, file.name);
  }

  async deleteFile(name: string): Promise<void> {
    await this.database.delete(HANDLES, name);
  }

  async clear(): Promise<void> {
    await Promise.all([this.database.clear(THREADS), this.database.clear(HANDLES)]);
  }
}

/** The same for as long as the page is open. */
class Passing implements PageStore {
  #threads = new Map<string, Conversation>();
  #files = new Map<string, FileEntry>();

  async conversations(): Promise<Conversation[]> {
    return [...this.#threads.values()];
  }

  async conversation(id: string): Promise<Conversation | undefined> {
    return this.#threads.get(id);
  }

  async putConversation(conversation: Conversation): Promise<void> {
    this.#threads.set(conversation.id, conversation);
  }

  async deleteConversation(id: string): Promise<void> {
    this.#threads.delete(id);
  }

  async files(): Promise<FileEntry[]> {
    return [...this.#files.values()];
  }

  async putFile(file: FileEntry): Promise<void> {
    this.#files.set(file.name, file);
  }

  async deleteFile(name: string): Promise<void> {
    this.#files.delete(name);
  }

  async clear(): Promise<void> {
    this.#threads.clear();
    this.#files.clear();
  }
}
