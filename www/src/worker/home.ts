/**
 * A whole home as one file: taken out, put in the place of what is there, or erased.
 *
 * The file is a line of JSON, which names every part with its length, and then the parts' bytes one
 * after another, and at the end the sha256 of all that comes before. It knows nothing of what they
 * mean. Invariant: nothing is touched before the file was read to its end and found whole, and the
 * records change in one transaction.
 */

import type { JsStore, Write } from "../engine/contract";
import { EngineError } from "../engine/protocol";
import { digest } from "./download";
import { TABLES } from "./store";

const FORMAT = "apprentice-home-1";
const HEAD_BYTES_MAX = 64 * 2 ** 20;
const HASH_BYTES = 32;

interface Head {
  format: string;
  rows: [table: string, key: string, bytes: number][];
  blobs: [hash: string, bytes: number][];
}

type Bytes = Uint8Array<ArrayBuffer>;

export async function exportHome(store: JsStore): Promise<Blob> {
  const head: Head = { format: FORMAT, rows: [], blobs: [] };
  const parts: Bytes[] = [];
  for (const table of TABLES) {
    // What can be computed again stays at home.
    if (table === "cache") continue;
    for (const [key, value] of await store.list(table)) {
      head.rows.push([table, key, value.length]);
      parts.push(value.slice());
    }
  }
  for (const hash of await store.listBlobs()) {
    const bytes = await store.getBlob(hash);
    if (!bytes) continue;
    head.blobs.push([hash, bytes.length]);
    parts.push(bytes.slice());
  }
  const body = new Blob([`${JSON.stringify(head)}\n`, ...parts]);
  const hash = await crypto.subtle.digest("SHA-256", await body.arrayBuffer());
  return new Blob([body, hash], { type: "application/octet-stream" });
}

export async function importHome(store: JsStore, file: Blob): Promise<void> {
  const { rows, blobs } = await read(file);
  // Blobs first: records may only name what is there already.
  for (const [hash, bytes] of blobs) await store.putBlob(hash, bytes);
  const writes: Write[] = rows.map(([table, key, bytes]) => [table, key, bytes]);
  const coming = new Set(rows.map(([table, key]) => `${table}/${key}`));
  for (const table of TABLES) {
    for (const [key] of await store.list(table)) {
      if (!coming.has(`${table}/${key}`)) writes.push([table, key, null]);
    }
  }
  await store.apply(writes);
  const named = new Set(blobs.map(([hash]) => hash));
  for (const hash of await store.listBlobs()) {
    if (!named.has(hash)) await store.deleteBlob(hash);
  }
}

export async function eraseHome(store: JsStore): Promise<void> {
  const writes: Write[] = [];
  for (const table of TABLES) {
    for (const [key] of await store.list(table)) writes.push([table, key, null]);
  }
  await store.apply(writes);
  for (const hash of await store.listBlobs()) await store.deleteBlob(hash);
}

interface Parts {
  rows: [string, string, Bytes][];
  blobs: [string, Bytes][];
}

async function read(file: Blob): Promise<Parts> {
  const whole: Bytes = new Uint8Array(await file.arrayBuffer());
  const end = whole.indexOf(10);
  if (end < 0 || end > HEAD_BYTES_MAX || !startsAs(whole)) {
    throw new EngineError("this file holds no learning of Apprentice", "failed");
  }
  const body = whole.slice(0, -HASH_BYTES);
  const told = Array.from(whole.slice(-HASH_BYTES), (byte) => byte.toString(16).padStart(2, "0"));
  if ((await digest(body)) !== told.join("")) {
    throw new EngineError("this file is damaged or not whole; nothing was changed", "failed");
  }
  const head = JSON.parse(new TextDecoder().decode(whole.subarray(0, end))) as Head;
  let at = end + 1;
  const take = (bytes: number) => body.slice(at, (at += bytes));
  const rows = head.rows.map(([table, key, bytes]) => {
    return [table, key, take(bytes)] as [string, string, Bytes];
  });
  const blobs = head.blobs.map(([hash, bytes]) => [hash, take(bytes)] as [string, Bytes]);
  const unknown = rows.find(([table]) => !(TABLES as readonly string[]).includes(table));
  if (unknown || at !== body.length) {
    throw new EngineError(
      "this file was written by another version; nothing was changed",
      "failed",
    );
  }
  for (const [hash, bytes] of blobs) {
    if ((await digest(bytes)) !== hash) {
      throw new EngineError(`an adapter in this file is damaged (${hash.slice(0, 12)})`, "failed");
    }
  }
  return { rows, blobs };
}

function startsAs(whole: Bytes): boolean {
  const beginning = new TextEncoder().encode(`{"format":"${FORMAT}"`);
  return beginning.every((byte, row) => whole[row] === byte);
}
