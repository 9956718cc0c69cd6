/**
 * Where the package's own files lie, written so that bundlers see it.
 *
 * It knows nothing of what is in them. Invariant: every file is named by `new URL(…, import.meta.url)` as a whole text, which
 * Vite, webpack and a plain browser all resolve beside this module.
 */

import { EngineClient } from "../engine/client";
import type { EngineAddress } from "../engine/protocol";

export function engineAddress(): EngineAddress {
  return {
    script: new URL("./engine/apprentice.js", import.meta.url).href,
    wasm: new URL("./engine/apprentice_bg.wasm", import.meta.url).href,
  };
}

export function startEngine(): EngineClient {
  return new EngineClient(
    new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "apprentice" }),
  );
}
