/**
 * Which model is meant, and its bytes: from OPFS, from a picked file, or fetched first.
 *
 * It knows nothing of GGUF. Invariant: no byte comes from another origin unless it was asked for by its whole address,
 * and what lies here whole is never fetched again.
 */

import type { JsSource, Progress } from "../engine/contract";
import { EngineError, type ModelChoice, type Survey } from "../engine/protocol";
import { digest, download, downloadToMemory, type Remote } from "./download";
import { findModel, labelModel, listModels, modelsFolder, partialBytes } from "./library";
import { fileSource, opfsSource } from "./source";

/** A source, and the hash that its bytes must have, where one was announced. */
export interface Opened {
  source: JsSource;
  sha256: string | null;
  /** The key in OPFS, for what must be dropped if it is not what it says. */
  key: string | null;
}

export async function openModel(
  base: string,
  choice: ModelChoice,
  onProgress: (progress: Progress) => void,
): Promise<Opened> {
  if (choice.kind === "file") return { source: fileSource(choice.file), sha256: null, key: null };
  if (choice.kind === "kept") return openKept(choice.key);
  const remote = await remoteOf(base, choice);
  if (!(await keepsFiles())) {
    const whole = await downloadToMemory(remote, onProgress);
    const source = fileSource(new File([whole], remote.name));
    return { source, sha256: remote.sha256, key: null };
  }
  const { name, sha256, key, bytes } = remote;
  if (!(await findModel(key, bytes))) {
    await download(remote, onProgress);
    await labelModel({ key, name, bytes, sha256 });
  }
  return openKept(key, remote);
}

async function remoteOf(
  base: string,
  choice: Exclude<ModelChoice, { kind: "file" | "kept" }>,
): Promise<Remote> {
  if (choice.kind === "page") return asRemote(base, await announced(base));
  if (choice.kind === "address") return described(new URL(choice.url, base), base);
  const url = new URL(choice.path, base);
  if (url.origin !== new URL(base).origin) {
    throw new EngineError(`${choice.path} is not on this page's own origin`, "failed");
  }
  return described(url, base);
}

/** What can be told without loading anything. */
export async function survey(base: string): Promise<Survey> {
  const offer = await announced(base).catch(() => null);
  const { quota = 0, usage = 0 } = await navigator.storage.estimate();
  const told = { announced: offer, quota, usage };
  if (!(await keepsFiles())) return { ...told, ready: false, partial: 0, kept: [] };
  const kept = await listModels();
  const ready = offer !== null && (await findModel(offer.sha256, offer.bytes)) !== null;
  const partial = offer === null || ready ? 0 : await partialBytes(offer.sha256);
  return { ...told, ready, partial, kept };
}

async function openKept(key: string, remote?: Remote): Promise<Opened> {
  const file = await findModel(key, 0);
  if (!file) throw new EngineError("this model is not on the device any more", "no-model");
  const label = (await listModels()).find((model) => model.key === key);
  const name = remote?.name ?? label?.name ?? "model.gguf";
  return { source: await opfsSource(file, name), sha256: label?.sha256 ?? null, key };
}

/** Some browsers refuse OPFS to private windows. */
async function keepsFiles(): Promise<boolean> {
  return modelsFolder().then(
    () => true,
    () => false,
  );
}

async function announced(base: string): Promise<NonNullable<Survey["announced"]>> {
  const reply = await fetch(new URL("model.json", base), { cache: "no-cache" }).catch(() => null);
  const kind = reply?.headers.get("content-type") ?? "";
  if (!reply?.ok || !kind.includes("json")) {
    throw new EngineError("no model comes with this page; open a .gguf file", "no-model");
  }
  const { name, bytes, sha256 } = (await reply.json()) as Record<string, unknown>;
  if (typeof name !== "string" || typeof bytes !== "number" || typeof sha256 !== "string") {
    throw new EngineError("model.json lacks a name, a size or a hash", "failed");
  }
  return { name, bytes, sha256 };
}

function asRemote(base: string, offer: NonNullable<Survey["announced"]>): Remote {
  return { ...offer, url: new URL("model.gguf", base), key: offer.sha256 };
}

/** What a server says of a file: another size or mark is another file. */
async function described(url: URL, base: string): Promise<Remote> {
  const place = url.origin === new URL(base).origin ? url.pathname : url.href;
  const reply = await fetch(url, { method: "HEAD", cache: "no-cache" }).catch(() => null);
  if (!reply?.ok) {
    const why = reply ? `the server answered ${reply.status}` : "the server cannot be reached";
    throw new EngineError(`${place}: ${why}`, "failed");
  }
  const bytes = Number(reply.headers.get("content-length") ?? 0);
  const mark = reply.headers.get("etag") ?? reply.headers.get("last-modified") ?? "";
  const key = await digest(new TextEncoder().encode(`${place} ${bytes} ${mark}`));
  return { url, name: url.pathname.split("/").at(-1) ?? place, bytes, sha256: null, key };
}
