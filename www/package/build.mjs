/**
 * Makes the npm package of the page's sources: two modules, the engine beside them, and types from the sources.
 *
 * It knows nothing of what the modules do; the engine must lie in `public/engine/`. Argument: the version. Invariant: the
 * folder is made anew each time, and `new URL(…, import.meta.url)` is in it as the sources wrote it, for bundlers to see.
 */

import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "rolldown";
import { licences } from "../licences.mjs";

const www = fileURLToPath(new URL("..", import.meta.url));
const out = join(www, "../target/package");
const [version] = process.argv.slice(2);
if (!version) throw new Error("build.mjs wants the package's version");

const seen = licences();

rmSync(out, { recursive: true, force: true });
for (const [name, input] of [
  ["apprentice.js", "src/api/index.ts"],
  ["worker.js", "src/worker/worker.ts"],
]) {
  await build({
    input: join(www, input),
    platform: "browser",
    plugins: [seen.plugin],
    output: { file: join(out, name), format: "esm" },
    // A warning would be something that a consumer's bundler stumbles over.
    onLog: (level, log) => {
      throw new Error(`${level}: ${log.message}`);
    },
  });
}
for (const name of ["apprentice.js", "apprentice_bg.wasm", "LICENSES.txt"]) {
  cpSync(join(www, "public/engine", name), join(out, "engine", name));
}

execFileSync(process.execPath, [join(www, "node_modules/typescript/bin/tsc"), "-p", join(www, "package")], {
  stdio: "inherit",
});
// Node's way of resolving wants endings where a bundler's does not.
for (const name of readdirSync(join(out, "types"), { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join(out, "types", name);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replaceAll(/(from |import\()"(\.[^"]*)"/g, '$1"$2.js"'));
}

const manifest = JSON.parse(readFileSync(join(www, "package/package.json"), "utf8"));
const { name, ...rest } = manifest;
writeFileSync(join(out, "package.json"), `${JSON.stringify({ name, version, ...rest }, null, 2)}\n`);
cpSync(join(www, "package/README.md"), join(out, "README.md"));
cpSync(join(www, "../LICENSE"), join(out, "LICENSE"));
writeFileSync(join(out, "LICENSES.txt"), seen.text());
