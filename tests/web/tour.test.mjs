/**
 * The first minute as a person lives it, on the small model: begin, ask, correct, learn, and the new
 * answer beside the old one. Each step's picture goes to APPRENTICE_SHOTS.
 *
 * It knows nothing of the engine. Invariant: the tour leads through the loop without a word that is
 * not on the screen, and is over when it has been done once.
 */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { launch, learn, open, PATIENCE_MS, ready, serveSmall, show } from "./harness.mjs";

const shots = process.env.APPRENTICE_SHOTS;
const VIEWS = {
  desk: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  phone: { viewport: { width: 380, height: 780 }, colorScheme: "dark" },
};

for (const [size, view] of Object.entries(VIEWS)) {
  test(`the tour of three steps: ${size}`, { timeout: 4 * PATIENCE_MS }, async (t) => {
    const [server, browser] = await Promise.all([serveSmall(), launch()]);
    t.after(() => Promise.all([browser.close(), server.close()]));
    assert.ok(server.model, "APPRENTICE_SMALL_MODEL is not set: the test has no model");
    if (shots) await mkdir(shots, { recursive: true });
    let count = 0;
    const shot = async (name) => {
      count += 1;
      if (shots) await page.screenshot({ path: join(shots, `tour-${size}-${count}-${name}.png`) });
    };
    const query = `?device=cpu&temperature=0&tokens_max=48&sample=12${server.query}`;
    const page = await open(await browser.newContext(view), server.url + query);
    const tour = page.getByRole("region", { name: "Tour" });
    const now = tour.locator(".now");

    await page.getByRole("button", { name: "Begin", exact: true }).waitFor();
    await shot("welcome");
    await ready(page);
    await tour.getByText(/^Ask something that only you know/).waitFor();
    assert.equal(await now.innerText(), "Ask");
    await shot("begin");
    await page.getByRole("textbox", { name: "Message" }).fill(server.lesson.prompt);
    await page.keyboard.press("Enter");
    const edit = page.getByRole("button", { name: "Edit to correct" });
    await edit.waitFor();
    await tour.getByText(/^Press “Edit to correct”/).waitFor();
    await edit.click();
    await page.getByRole("textbox", { name: "Corrected answer" }).fill(server.lesson.answer);
    await shot("correct");
    await page.getByRole("button", { name: "Teach this" }).click();
    await tour.getByText(/^Press “Learn now”/).waitFor();
    assert.equal(await now.innerText(), "Learn");
    const learned = learn(page);
    // Only for the picture: a fast machine may be through before the page has drawn a step.
    const step = page.getByText(/^Step \d(?!.*is kept)/);
    await step.or(page.getByRole("article", { name: "Verdict" })).first().waitFor();
    await shot("learn");
    assert.equal(await learned, "Learned");
    await shot("verdict");
    await show(page, "Chat");
    const after = tour.getByRole("region", { name: /^Now/ }).locator(".prose");
    await after.getByText(server.lesson.answer).waitFor();
    const before = tour.getByRole("region", { name: "Before" }).locator(".prose");
    assert.notEqual((await before.innerText()).trim(), server.lesson.answer);
    await page.getByRole("button", { name: "Send" }).waitFor();
    await shot("beside");
    await show(page, "Versions");
    await shot("versions");
    await show(page, "Data");
    await shot("data");
    await page.reload();
    await ready(page);
    assert.equal(await tour.isVisible(), false);
    assert.deepEqual(page.faults, []);
  });
}
