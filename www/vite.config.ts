// How the page is built: one entry, one worker, nothing inlined.
//
// It knows nothing of the engine, which xtask puts into `public/engine/`. Invariant: the output
// runs under a policy without inline scripts, inline styles or data: fonts.

import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    target: "es2023",
    // Keeps `light-dark()` as it is: every browser with WebGPU knows it.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  worker: { format: "es" },
});
