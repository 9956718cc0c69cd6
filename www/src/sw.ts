/**
 * The service worker: it serves the page where there is no network.
 *
 * It knows nothing of the page's data and never sees the model's bytes, which the page keeps itself.
 * Invariant: what it keeps is one whole build, taken when it was installed; the network always
 * goes first, so that a new build shows at the next reload.
 */

const scope = self as unknown as ServiceWorkerGlobalScope;

/** Every file of this build; the build writes it in. */
const OFFLINE = "__OFFLINE__" as unknown as { version: string; files: string[] };
const CACHE = `apprentice-${OFFLINE.version}`;
/** What the server says of its model, kept so that the page knows its own model offline. */
const ANNOUNCEMENT = "model.json";

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  // Ranges of a model go past: a cache cannot hold parts.
  const ours = origin === scope.location.origin && !pathname.endsWith(".gguf");
  if (request.method === "GET" && ours) event.respondWith(answer(request));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll(
    ["./", ...OFFLINE.files].map((name) => new Request(name, { cache: "no-cache" })),
  );
  await fetch(ANNOUNCEMENT, { cache: "no-cache" }).then(
    (reply) => (reply.ok ? cache.put(ANNOUNCEMENT, reply) : undefined),
    () => undefined,
  );
  await scope.skipWaiting();
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith("apprentice-") && name !== CACHE) await caches.delete(name);
  }
  await scope.clients.claim();
}

async function answer(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const cache = await caches.open(CACHE);
    // The address' query says how the page behaves, not which file it is.
    const kept = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
    if (kept) return kept;
    throw error;
  }
}

export {};
