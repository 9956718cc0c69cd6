/**
 * Brings a model's bytes onto this machine: from where the last try ended, checked at the end.
 *
 * It knows nothing of GGUF. Invariant: a file gets its final name only with the size that was
 * announced and, where the hash is known and the file small enough to check here, with that hash.
 */

import type { Progress } from "../engine/contract";
import { EngineError } from "../engine/protocol";
import { modelsFolder, partialBytes, wholeName } from "./library";
import { rename, writeAll } from "./opfs";

/** Above this a digest would need too much memory at once; the engine hashes as it streams. */
const DIGEST_BYTES_MAX = 160 * 2 ** 20;
/** Flushed so often, so that a killed tab loses little. */
const FLUSH_BYTES = 4 * 2 ** 20;

/** What is to be fetched. */
export interface Remote {
  url: URL;
  name: string;
  /** 0 while unknown. */
  bytes: number;
  sha256: string | null;
  /** The file's key in OPFS: another content has another. */
  key: string;
}

type OnProgress = (progress: Progress) => void;

/** Fetches into OPFS. */
export async function download(remote: Remote, onProgress: OnProgress): Promise<void> {
  const models = await modelsFolder();
  const part = await models.getFileHandle(`${wholeName(remote.key)}.part`, { create: true });
  const had = await partialBytes(remote.key);
  await checkRoom(remote.bytes - had);
  const { total, done } = await fetchInto(part, remote, had, onProgress);
  const { size } = await part.getFile();
  if (size < done) throw full(total - size);
  if (total !== 0 && size !== total) {
    throw new EngineError(`the download ended at ${size} of ${total} bytes; try again`, "failed");
  }
  await checkHash(await part.getFile(), remote, () => models.removeEntry(part.name));
  await rename(part, models, wholeName(remote.key));
}

/** Fetches into memory, for a browser that keeps no files. */
export async function downloadToMemory(remote: Remote, onProgress: OnProgress): Promise<Blob> {
  const reply = await asked(remote.url, 0);
  const total = remote.bytes || Number(reply.headers.get("content-length") ?? 0);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  for await (const chunk of chunksOf(reply)) {
    chunks.push(chunk);
    done += chunk.length;
    onProgress({ phase: "download", done, total });
  }
  const whole = new Blob(chunks);
  await checkHash(whole, remote, async () => undefined);
  return whole;
}

/** Writes what is missing behind the `had` bytes; gives the size of the whole, announced and as it came. */
async function fetchInto(
  part: FileSystemFileHandle,
  remote: Remote,
  had: number,
  onProgress: OnProgress,
): Promise<{ total: number; done: number }> {
  // All is there when only the renaming was cut short.
  if (had > 0 && had === remote.bytes) return { total: had, done: had };
  const reply = await asked(remote.url, had < remote.bytes ? had : 0);
  // A server without ranges answers with the whole file.
  const first = reply.status === 206 ? had : 0;
  const length = Number(reply.headers.get("content-length") ?? 0);
  const total = remote.bytes || (length === 0 ? 0 : first + length);
  const access = await part.createSyncAccessHandle();
  let done = first;
  let flushed = first;
  try {
    access.truncate(first);
    for await (const chunk of chunksOf(reply)) {
      writeAll(access, chunk, done);
      done += chunk.length;
      if (done - flushed >= FLUSH_BYTES) {
        access.flush();
        flushed = done;
      }
      onProgress({ phase: "download", done, total });
    }
    access.flush();
  } finally {
    access.close();
  }
  return { total, done };
}

async function asked(url: URL, first: number): Promise<Response> {
  const headers = first > 0 ? { Range: `bytes=${first}-` } : {};
  const reply = await fetch(url, { headers, cache: "no-store" }).catch(() => null);
  if (reply?.ok && reply.body) return reply;
  const why = reply ? `the server answered ${reply.status}` : "the server cannot be reached";
  throw new EngineError(`the model could not be fetched: ${why}`, "failed");
}

async function* chunksOf(reply: Response) {
  const reader = (reply.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new EngineError("the download was cut off; try again, it goes on from here", "failed");
    });
    if (done) return;
    yield value;
  }
}

/** Refuses before the first byte what the browser would refuse in the middle. */
async function checkRoom(wanted: number): Promise<void> {
  const { quota = 0, usage = 0 } = await navigator.storage.estimate();
  const room = quota - usage;
  if (quota !== 0 && wanted > room) throw full(wanted, room);
}

/** Some browsers tell no true room: what they take is known only when they take no more. */
function full(wanted: number, room = 0): EngineError {
  const megabytes = (bytes: number) => `${Math.max(0, Math.ceil(bytes / 1e6))} MB`;
  return new EngineError(
    `the model needs ${megabytes(wanted)} and this browser gives the page ${megabytes(room)} more; ` +
      "free some space, or open a model file, which is read where it lies",
    "quota",
  );
}

async function checkHash(file: Blob, remote: Remote, drop: () => Promise<unknown>): Promise<void> {
  if (remote.sha256 === null || file.size > DIGEST_BYTES_MAX) return;
  const found = await digest(new Uint8Array(await file.arrayBuffer()));
  if (found === remote.sha256) return;
  // Going on from wrong bytes would never end.
  await drop();
  throw new EngineError(`the model that came is not the one announced (sha256 ${found})`, "failed");
}

export async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
