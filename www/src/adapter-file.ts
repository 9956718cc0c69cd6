/**
 * One version as a file: a line of JSON that says what it is, and then the adapter's bytes.
 *
 * It knows nothing of adapters. Invariant: a file is taken only if its bytes have the hash that it
 * tells and it was made for the base model that runs; the error says which of both it is.
 */

import type { Info, Version } from "./engine/contract";

const FORMAT = "apprentice-version-1";
const HEAD_BYTES_MAX = 1 << 16;
/** How a zip begins: PEFT's two files as one. */
const ZIP = "PK\u0003\u0004";

interface Head {
  format: string;
  base_hash: string;
  model: string;
  version: string;
  note: string;
  sha256: string;
}

type Bytes = Uint8Array<ArrayBuffer>;

export async function packVersion(info: Info, version: Version, bytes: Bytes): Promise<Blob> {
  const head: Head = {
    format: FORMAT,
    base_hash: info.model_hash,
    model: info.model,
    version: version.id,
    note: version.note,
    sha256: await sha256(bytes),
  };
  return new Blob([`${JSON.stringify(head)}\n`, bytes], { type: "application/octet-stream" });
}

/** The adapter of a file, and what to call it. */
export async function unpackVersion(
  info: Info,
  file: File,
): Promise<{ bytes: Bytes; note: string }> {
  const whole: Bytes = new Uint8Array(await file.arrayBuffer());
  // llama.cpp's and PEFT's adapters name no base model by its hash; the engine checks that the shapes fit.
  const magic = new TextDecoder("latin1").decode(whole.subarray(0, 4));
  if (magic === "GGUF" || magic === ZIP) return { bytes: whole, note: `imported from ${file.name}` };
  const head = headOf(whole);
  if (!head) throw new Error(`${file.name} is no version of Apprentice, no GGUF adapter and no zip of PEFT's`);
  if (head.base_hash !== info.model_hash) {
    const [made, runs] = [head.base_hash.slice(0, 12), info.model_hash.slice(0, 12)];
    throw new Error(
      `${file.name} was made for ${head.model} (sha256 ${made}…); this is ${info.model} (${runs}…)`,
    );
  }
  const bytes = whole.slice(whole.indexOf(10) + 1);
  if ((await sha256(bytes)) !== head.sha256) throw new Error(`${file.name} is damaged`);
  return { bytes, note: `imported: version ${head.version.slice(0, 7)}. ${head.note}`.trim() };
}

function headOf(whole: Bytes): Head | null {
  const end = whole.subarray(0, HEAD_BYTES_MAX).indexOf(10);
  if (end < 0) return null;
  try {
    const head = JSON.parse(new TextDecoder().decode(whole.subarray(0, end))) as Partial<Head>;
    const texts = [head.base_hash, head.model, head.version, head.note, head.sha256];
    const whole_head = head.format === FORMAT && texts.every((text) => typeof text === "string");
    return whole_head ? (head as Head) : null;
  } catch {
    return null;
  }
}

async function sha256(bytes: Bytes): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
