/**
 * The test server: the built page, the engine, and a model, with the headers of the real server.
 *
 * It knows nothing of the tests. Invariant: every reply carries the policy, the worker's scripts
 * too, since a worker obeys the headers that its own script came with.
 */

import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createHash } from "node:crypto";
import { basename, extname, join, normalize } from "node:path";

export const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types apprentice dompurify",
].join("; ");

const RULES = {
  "Content-Security-Policy": POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
};

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".jsonl": "application/jsonl",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
  ".gguf": "application/octet-stream",
};

/**
 * Starts a server on a free port. `model` is a path or a Buffer; `files` maps a URL path to a
 * file and `folders` a URL prefix to a folder, before the built page is asked; `announce` replaces
 * parts of `model.json`; `free` leaves the page's own policy out, as other people's servers do. The reply's `cutAt`, once set, ends the next model's body after so many bytes.
 */
export async function serve(options) {
  const { dist, model, files = {}, folders = {}, announce = {}, free = false } = options;
  const HEADERS = free ? {} : RULES;
  const bytes = Buffer.isBuffer(model) ? model : null;
  const announced = model ? { ...(await describe(model)), ...announce } : null;
  const requests = [];
  const told = { cutAt: null };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://host").pathname);
    const { range } = request.headers;
    requests.push({ method: request.method, path, range });
    answer(path, request.method, response, range).catch((error) => {
      response.writeHead(500, HEADERS).end(String(error));
    });
  });

  async function answer(path, method, response, range) {
    if (path === "/model.json" && announced) {
      const body = Buffer.from(JSON.stringify(announced));
      const headers = { ...HEADERS, "Content-Type": TYPES[".json"], "Content-Length": body.length };
      return void response.writeHead(200, headers).end(method === "HEAD" ? undefined : body);
    }
    if (path === "/model.gguf" && bytes) return sendModel(response, bytes, range);
    const file = fileOf(path);
    const info = file ? await stat(file).catch(() => null) : null;
    if (!info?.isFile()) return void response.writeHead(404, HEADERS).end("not found");
    const type = TYPES[extname(file)] ?? "application/octet-stream";
    const etag = `"${info.size}-${Math.round(info.mtimeMs)}"`;
    const headers = { ...HEADERS, "Content-Type": type, "Content-Length": info.size, ETag: etag };
    response.writeHead(200, headers);
    if (method === "HEAD") response.end();
    else createReadStream(file).pipe(response);
  }

  /** As a real server: whole, or from a byte on; and cut off where a test wants it. */
  function sendModel(response, body, range) {
    const first = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    const length = body.length - first;
    const headers = { ...HEADERS, "Content-Type": TYPES[".gguf"], "Content-Length": length };
    if (first > 0) headers["Content-Range"] = `bytes ${first}-${body.length - 1}/${body.length}`;
    response.writeHead(first > 0 ? 206 : 200, headers);
    if (told.cutAt === null) return void response.end(body.subarray(first));
    const part = body.subarray(first, told.cutAt);
    told.cutAt = null;
    response.write(part, () => setTimeout(() => response.destroy(), 300));
  }

  function fileOf(path) {
    if (path === "/model.gguf") return model;
    if (files[path]) return files[path];
    const safe = normalize(path);
    for (const [prefix, folder] of Object.entries(folders)) {
      if (safe.startsWith(prefix)) return join(folder, safe.slice(prefix.length));
    }
    return join(dist, safe === "/" ? "index.html" : safe);
  }

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://localhost:${server.address().port}/`,
    requests,
    announced,
    /** @param {number} at */
    cutAt: (at) => void (told.cutAt = at),
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  };
}

async function describe(model) {
  const bytes = Buffer.isBuffer(model) ? model : await readFile(model);
  const name = Buffer.isBuffer(model) ? "mock.gguf" : basename(model);
  return { name, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}
