/**
 * The models that lie in OPFS: found by key, listed with their names, deleted.
 *
 * It knows nothing of downloads. Invariant: a file `KEY.gguf` is whole; what a download left has the
 * ending `.part`, and what a person should read about a model lies beside it in `KEY.json`.
 */

import type { KeptModel } from "../engine/protocol";
import { folder, writeFile } from "./opfs";

const MODELS = "models";
const WHOLE = ".gguf";

export function modelsFolder(): Promise<FileSystemDirectoryHandle> {
  return folder(MODELS);
}

export async function listModels(): Promise<KeptModel[]> {
  const models = await modelsFolder();
  const found: KeptModel[] = [];
  for await (const [name, handle] of models.entries()) {
    if (handle.kind !== "file" || !name.endsWith(WHOLE)) continue;
    const key = name.slice(0, -WHOLE.length);
    const { size } = await (handle as FileSystemFileHandle).getFile();
    found.push({
      name: `${key.slice(0, 12)}.gguf`,
      sha256: null,
      ...(await label(key)),
      key,
      bytes: size,
    });
  }
  return found.sort((a, b) => a.name.localeCompare(b.name));
}

/** The whole file of a key, if it lies here with the size that is expected (0: any). */
export async function findModel(key: string, bytes: number): Promise<FileSystemFileHandle | null> {
  const models = await modelsFolder();
  const file = await models.getFileHandle(key + WHOLE).catch(() => null);
  if (!file) return null;
  const { size } = await file.getFile();
  return bytes === 0 || size === bytes ? file : null;
}

/** Writes down what a model is called. */
export async function labelModel(model: KeptModel): Promise<void> {
  const text = JSON.stringify({ name: model.name, sha256: model.sha256 });
  await writeFile(MODELS, `${model.key}.json`, new TextEncoder().encode(text));
}

export async function deleteModel(key: string): Promise<void> {
  const models = await modelsFolder();
  await models.removeEntry(key + WHOLE);
  await models.removeEntry(`${key}.json`).catch(() => undefined);
}

/** Bytes that an interrupted download of a key left. */
export async function partialBytes(key: string): Promise<number> {
  const models = await modelsFolder();
  const part = await models.getFileHandle(`${key}${WHOLE}.part`).catch(() => null);
  return part ? (await part.getFile()).size : 0;
}

export function wholeName(key: string): string {
  return key + WHOLE;
}

async function label(key: string): Promise<Partial<KeptModel>> {
  try {
    const models = await modelsFolder();
    const file = await (await models.getFileHandle(`${key}.json`)).getFile();
    const { name, sha256 } = JSON.parse(await file.text()) as Record<string, unknown>;
    return {
      ...(typeof name === "string" ? { name } : {}),
      ...(typeof sha256 === "string" ? { sha256 } : {}),
    };
  } catch {
    // A model without a label still runs.
    return {};
  }
}
