/**
 * Everything of others that the page and the package hold comes with its licence.
 *
 * It knows nothing of how the texts are made: the packages are those that the lock file installs for the page, the crates
 * those whose files the engine's module names in its panics. Invariant: a package that is left out fails the test.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const www = fileURLToPath(new URL("../../www/", import.meta.url));
const dist = process.env.APPRENTICE_DIST ?? join(www, "dist");
const tarball = fileURLToPath(new URL("../../target/package", import.meta.url));
const read = (...path) => readFileSync(join(...path), "utf8");

/** What the lock file installs for the page itself. */
function bundled() {
  const { packages } = JSON.parse(read(www, "package-lock.json"));
  const ours = Object.entries(packages).filter(([path, { dev }]) => path !== "" && !dev);
  return ours.filter(([, { optional }]) => !optional).map(([path, { version }]) => {
    return { path, name: path.split("node_modules/").at(-1), version };
  });
}

function missing(text, packages) {
  const lacks = ({ path, name, version }) => {
    const files = readdirSync(join(www, path)).filter((file) => /^licen[cs]e/i.test(file));
    assert.ok(files.length > 0, `${name} has a licence`);
    return !text.includes(`${name} ${version} (`) || files.some((file) => !text.includes(read(www, path, file).trim()));
  };
  return packages.filter(lacks).map(({ name }) => name);
}

test("the page's licences hold every package that it is built of", () => {
  const packages = bundled();
  assert.ok(packages.length >= 7, `${packages.length} packages`);
  const text = read(dist, "LICENSES.txt");
  assert.deepEqual(missing(text, packages), []);
  // The test sees one that is left out.
  assert.deepEqual(missing(text.replaceAll("uplot 1", "u 1"), packages), ["uplot"]);
});

test("the engine's licences hold every crate that its module names", () => {
  const module = readFileSync(join(dist, "engine/apprentice_bg.wasm"), "latin1");
  const files = module.matchAll(/registry\/src\/[\w.-]+\/([\w-]+?)-(\d+\.\d+[\w.+-]*)\//g);
  const crates = new Set(Array.from(files, ([, name, version]) => `${name} ${version} (`));
  assert.ok(crates.size >= 10, `${crates.size} crates are named`);
  const text = read(dist, "engine/LICENSES.txt");
  assert.deepEqual([...crates].filter((crate) => !text.includes(crate)), []);
  assert.match(text, /Apache License/);
});

test("the package ships both texts", { skip: process.env.APPRENTICE_MOCK === "1" }, () => {
  // No fonts and no screen: what the worker takes in is enough.
  const text = read(tarball, "LICENSES.txt");
  const taken = bundled().filter(({ name }) => ["idb", "fflate"].includes(name));
  assert.deepEqual([taken.length, missing(text, taken)], [2, []]);
  const { files } = JSON.parse(read(tarball, "package.json"));
  assert.ok(files.includes("LICENSES.txt") && files.includes("engine"));
  assert.equal(read(tarball, "engine/LICENSES.txt"), read(dist, "engine/LICENSES.txt"));
});
