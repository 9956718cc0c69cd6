/**
 * The licences of the packages that a build takes in, as one text that lies beside it.
 *
 * It knows nothing of what the packages do. Invariant: whatever module of `node_modules` a build has seen, its package is in
 * the text with its version and its whole licence; a package without a licence file ends the build.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const LICENCE_FILE = /^(licen[cs]e|copying|notice)/i;

/** Collects packages from one or more builds: `plugin` for each of them, `text` once they are done. */
export function licences() {
  const folders = new Set();
  const see = (id) => {
    const folder = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id.replace(/^\0/, ""))?.[1];
    if (folder) folders.add(folder);
  };
  const plugin = {
    name: "licences",
    moduleParsed: ({ id }) => see(id),
    // Fonts are no modules: a style sheet names them.
    generateBundle: (_, bundle) => {
      const assets = Object.values(bundle).filter(({ type }) => type === "asset");
      for (const { originalFileNames = [] } of assets) {
        for (const name of originalFileNames) see(resolve(import.meta.dirname, name));
      }
    },
  };
  return { plugin, text: () => textOf([...folders]) };
}

function textOf(folders) {
  const packages = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const files = readdirSync(folder).filter((file) => LICENCE_FILE.test(file)).sort();
    if (files.length === 0) throw new Error(`${name} ${version} has no licence file`);
    const texts = files.map((file) => readFileSync(join(folder, file), "utf8").trim());
    const terms = license.replace(/^\((.*)\)$/, "$1");
    return [`${name} ${version} (${terms})`, ...texts].join("\n\n");
  });
  const line = `\n\n${"-".repeat(80)}\n\n`;
  const head = "Apprentice holds these packages of others, each under its own licence.";
  const engine = "What the engine (a WebAssembly module) holds is listed in engine/LICENSES.txt.";
  return `${[`${head}\n${engine}`, ...packages.sort()].join(line)}\n`;
}
