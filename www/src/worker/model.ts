/**
 * Brings a model onto this machine: names it, streams it into OPFS once, and finds it there again.
 *
 * It knows nothing of GGUF. Invariant: a file in `models/` without the ending `.part` has the size
 * that was announced and, where the hash is known and the file small enough to check, that hash.
 */

import type { JsSource, Progress } from "../engine/contract";
import { EngineError } from "../engine/protocol";
import { folder, rename, writeAll } from "./opfs";
import { opfsSource } from "./source";

const MODELS = "models";
/** Above this a digest would need too much memory at once; the engine hashes as it streams. */
const DIGEST_BYTES_MAX = 160 * 2 ** 20;

/** What is to be fetched. */
interface Remote {
  url: URL;
  name: string;
  /** 0 while unknown. */
  bytes: number;
  sha256: string | null;
  /** The file's name in OPFS: another content has another key. */
  key: string;
}

/** The model of this page: the one at `path`, or the one that `model.json` names. */
export async function fetchModel(
  base: string,
  path: string | null,
  onProgress: (progress: Progress) => void,
): Promise<JsSource> {
  const remote = path === null ? await announced(base) : await named(base, path);
  const models = await folder(MODELS);
  const cached = await find(models, remote);
  if (cached) return opfsSource(cached, remote.name);
  await download(models, remote, onProgress);
  await dropOthers(models, remote.key);
  return opfsSource(await models.getFileHandle(remote.key), remote.name);
}

async function announced(base: string): Promise<Remote> {
  const reply = await fetch(new URL("model.json", base), { cache: "no-cache" }).catch(() => null);
  const kind = reply?.headers.get("content-type") ?? "";
  if (!reply?.ok || !kind.includes("json")) {
    throw new EngineError("no model comes with this page; open a .gguf file", "no-model");
  }
  const { name, bytes, sha256 } = (await reply.json()) as Record<string, unknown>;
  if (typeof name !== "string" || typeof bytes !== "number" || typeof sha256 !== "string") {
    throw new EngineError("model.json lacks a name, a size or a hash", "failed");
  }
  return { url: new URL("model.gguf", base), name, bytes, sha256, key: `${sha256}.gguf` };
}

async function named(base: string, path: string): Promise<Remote> {
  const url = new URL(path, base);
  if (url.origin !== new URL(base).origin) {
    throw new EngineError(`${path} is not on this page's own origin`, "failed");
  }
  const reply = await fetch(url, { method: "HEAD", cache: "no-cache" });
  if (!reply.ok) throw new EngineError(`${path}: the server answered ${reply.status}`, "failed");
  const bytes = Number(reply.headers.get("content-length") ?? 0);
  const mark = reply.headers.get("etag") ?? reply.headers.get("last-modified") ?? "";
  const key = `${await digest(new TextEncoder().encode(`${url.pathname} ${bytes} ${mark}`))}.gguf`;
  return { url, name: url.pathname.split("/").at(-1) ?? path, bytes, sha256: null, key };
}

async function find(
  models: FileSystemDirectoryHandle,
  remote: Remote,
): Promise<FileSystemFileHandle | null> {
  const file = await models.getFileHandle(remote.key).catch(() => null);
  if (!file) return null;
  const { size } = await file.getFile();
  return remote.bytes === 0 || size === remote.bytes ? file : null;
}

async function download(
  models: FileSystemDirectoryHandle,
  remote: Remote,
  onProgress: (progress: Progress) => void,
): Promise<void> {
  const reply = await fetch(remote.url);
  if (!reply.ok || !reply.body) {
    throw new EngineError(`the model could not be fetched (${reply.status})`, "failed");
  }
  const total = remote.bytes || Number(reply.headers.get("content-length") ?? 0);
  const part = await models.getFileHandle(`${remote.key}.part`, { create: true });
  const access = await part.createSyncAccessHandle();
  let done = 0;
  try {
    access.truncate(0);
    for await (const chunk of chunks(reply.body)) {
      writeAll(access, chunk, done);
      done += chunk.length;
      onProgress({ phase: "download", done, total });
    }
    access.flush();
  } finally {
    access.close();
  }
  if (total !== 0 && done !== total) {
    throw new EngineError(`the download ended at ${done} of ${total} bytes; try again`, "failed");
  }
  await checkHash(part, remote);
  await rename(part, models, remote.key);
}

async function* chunks(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

async function checkHash(part: FileSystemFileHandle, remote: Remote): Promise<void> {
  const file = await part.getFile();
  if (remote.sha256 === null || file.size > DIGEST_BYTES_MAX) return;
  const found = await digest(new Uint8Array(await file.arrayBuffer()));
  if (found !== remote.sha256) {
    throw new EngineError(
      `the model that came is not the one announced (sha256 ${found})`,
      "failed",
    );
  }
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Keeps one downloaded model: an older one would hold the user's disk for nothing. */
async function dropOthers(models: FileSystemDirectoryHandle, key: string): Promise<void> {
  for await (const name of models.keys()) {
    // A file that another tab still reads refuses to go, which is right.
    if (name !== key) await models.removeEntry(name).catch(() => undefined);
  }
}
