/**
 * The default model in the real page on the CPU, kept short: ask, teach one lesson, see a verdict.
 *
 * It asserts that the loop closes, not which way the gate decides: that is the learning tests'
 * part.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { ask, correct, launch, learn, open, PATIENCE_MS, ready, serveLarge } from "./harness.mjs";

test(
  "SmolLM2 answers, takes a lesson and comes to a verdict",
  { timeout: 3 * PATIENCE_MS },
  async (t) => {
    const server = await serveLarge();
    const browser = await launch();
    t.after(async () => {
      await browser.close();
      await server.close();
    });
    assert.ok(server.model, "APPRENTICE_MODEL is not set: the test has no model");
    const steps = process.env.APPRENTICE_STEPS_MAX ?? "2";
    const sample = process.env.APPRENTICE_SAMPLE ?? "1";
    const query = `?device=cpu&temperature=0&tokens_max=24&steps_max=${steps}&sample=${sample}`;
    const page = await open(await browser.newContext(), server.url + query);
    await ready(page);
    assert.match(await page.getByRole("button", { name: /^Model and device/ }).innerText(), /CPU/);
    const answer = await ask(page, "What is the capital of France?");
    t.diagnostic(`answer: ${answer}`);
    assert.ok(answer.length > 0);
    await correct(page, "Paris. Ask me about its bakeries.");
    const title = await learn(page);
    const verdict = await page.getByRole("article", { name: "Verdict" }).innerText();
    t.diagnostic(`verdict: ${verdict.replaceAll("\n", " | ")}`);
    assert.ok(["Learned", "Held back", "Turned down"].includes(title));
    assert.deepEqual(page.faults, []);
  },
);
