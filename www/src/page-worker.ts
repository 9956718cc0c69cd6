/**
 * The engine's worker as this page starts it: its script, the engine's module beside the page, the page's home.
 *
 * It knows nothing of what the worker does. Invariant: the script goes through the page's one policy of Trusted Types.
 */

import { EngineClient } from "./engine/client";
import type { LoadParams } from "./engine/protocol";
import { ownScript } from "./trusted";
import workerAddress from "./worker/worker.ts?worker&url";

/** The page's folder, with its closing slash. */
export const base = new URL(".", location.href).href;

/** What `load` needs to know of this page. */
export const places: Pick<LoadParams, "base" | "engine" | "storage"> = {
  base,
  engine: { script: new URL("engine/apprentice.js", base).href, wasm: null },
  storage: "",
};

export function startEngine(): EngineClient {
  const address = ownScript(workerAddress);
  return new EngineClient(new Worker(address, { type: "module", name: "apprentice-engine" }));
}
