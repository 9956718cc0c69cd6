// How the page is built: the page, its worker and its service worker, nothing inlined.
//
// It knows nothing of the engine, which xtask puts into `public/engine/`. Invariant: the output
// runs under a policy without inline scripts, inline styles or data: fonts, and `sw.js` names every
// file of it.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { licences } from "./licences.mjs";

/** Tells the service worker what there is to keep, once all of it is written. */
function offlineList(): Plugin {
  let out = "";
  return {
    name: "offline-list",
    apply: "build",
    configResolved: (config) => void (out = resolve(config.root, config.build.outDir)),
    closeBundle() {
      const worker = join(out, "sw.js");
      const all = readdirSync(out, { recursive: true, withFileTypes: true });
      const files = all
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(out.length + 1))
        .filter((name) => name !== "sw.js" && !/\.(d\.ts|gz)$/.test(name))
        .sort();
      const hash = createHash("sha256");
      for (const name of files) hash.update(name).update(readFileSync(join(out, name)));
      const version = hash.digest("hex").slice(0, 16);
      const code = readFileSync(worker, "utf8");
      const list = JSON.stringify({ version, files });
      writeFileSync(
        worker,
        code.replace(/"__OFFLINE__"|`__OFFLINE__`/, () => `(${list})`),
      );
    },
  };
}

/** Puts the licences of what the page and its worker hold beside them. */
function licencesText(): Plugin {
  let out = "";
  return {
    name: "licences-text",
    apply: "build",
    configResolved: (config) => void (out = resolve(config.root, config.build.outDir)),
    closeBundle: () => writeFileSync(join(out, "LICENSES.txt"), seen.text()),
  };
}

const seen = licences();

/** Puts a packed copy beside every large file, for servers that send it. */
function packedCopies(): Plugin {
  let out = "";
  return {
    name: "packed-copies",
    apply: "build",
    configResolved: (config) => void (out = resolve(config.root, config.build.outDir)),
    closeBundle() {
      for (const name of readdirSync(out, { recursive: true, encoding: "utf8" })) {
        if (!/\.(js|css|wasm|txt)$/.test(name)) continue;
        const path = join(out, name);
        const packed = gzipSync(readFileSync(path), { level: 9 });
        writeFileSync(`${path}.gz`, packed);
      }
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [seen.plugin, licencesText(), offlineList(), packedCopies()],
  build: {
    target: "es2023",
    // Keeps `light-dark()` as it is: every browser with WebGPU knows it.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rollupOptions: {
      input: { index: "index.html", sw: "src/sw.ts" },
      output: {
        // A service worker rules the folder that it lies in, and keeps its address for ever.
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  worker: { format: "es", plugins: () => [seen.plugin] },
});
