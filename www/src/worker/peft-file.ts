/**
 * PEFT's folder as one file: a zip of its two files, in and out.
 *
 * It knows nothing of what they hold. Invariant: what is written is found again under PEFT's own names, in whatever
 * folder of the zip they lie; numbers are stored as they are, since packing them would gain next to nothing.
 */

import { unzipSync, zipSync } from "fflate";
import { EngineError } from "../engine/protocol";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** An adapter of rank 64 of a model of 8B has 336 MB in half floats. */
const BYTES_MAX = 2 ** 29;

type Bytes = Uint8Array<ArrayBuffer>;

export function packPeft([config, weights]: Bytes[]): Bytes {
  if (!config || !weights) throw new EngineError("the engine gave no adapter", "failed");
  return zipSync({ [CONFIG]: config, [WEIGHTS]: weights }, { level: 0 });
}

/** The two files, if the bytes are a zip. */
export function unpackPeft(bytes: Uint8Array): { config: Bytes; weights: Bytes } | null {
  const magic = new TextDecoder("latin1").decode(bytes.subarray(0, 4));
  if (magic !== "PK\u0003\u0004") return null;
  const nameOf = (path: string) => path.split("/").at(-1);
  const files = unzipSync(bytes, {
    filter: ({ name, originalSize }) =>
      originalSize <= BYTES_MAX && [CONFIG, WEIGHTS].includes(nameOf(name) ?? ""),
  });
  const find = (wanted: string) =>
    Object.entries(files).find(([path]) => nameOf(path) === wanted)?.[1];
  const [config, weights] = [find(CONFIG), find(WEIGHTS)];
  if (config && weights) return { config, weights };
  throw new EngineError(`this zip lacks ${config ? WEIGHTS : CONFIG}: it is no adapter of PEFT`, "failed");
}
