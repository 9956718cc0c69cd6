/**
 * Whether everybody can use the page: axe-core on every part in both themes and sizes, on the
 * stand-in engine; the whole loop by keyboard; less motion for those who ask for it.
 *
 * It knows nothing of models. Invariant: the checker is shown to find a planted fault first.
 */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import {
  ask,
  correct,
  learn,
  open,
  PATIENCE_MS,
  ready,
  serveMock,
  show,
  stage,
} from "./harness.mjs";

const axe = createRequire(new URL("../../www/package.json", import.meta.url)).resolve(
  "axe-core/axe.min.js",
);
const SIZES = { phone: { width: 380, height: 780 }, desk: { width: 1280, height: 800 } };
const here = stage(serveMock);

/** What axe-core calls serious or critical. The policy would stop a script tag; a test may bypass it. */
async function serious(page) {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.addScriptTag({ path: axe });
  // Passes are found, too, but not written out element by element.
  const options = { resultTypes: ["violations"] };
  const { violations } = await page.evaluate((options) => axe.run(document, options), options);
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  return grave.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`,
  );
}

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    test(
      `axe-core finds nothing serious: ${size}, ${colorScheme}`,
      { timeout: 4 * PATIENCE_MS },
      async () => {
        const context = await here.browser.newContext({
          viewport,
          colorScheme,
          bypassCSP: true,
          reducedMotion: "reduce",
        });
        const page = await open(context, `${here.server.url}?device=gpu`);
        const check = async (part) => assert.deepEqual(await serious(page), [], part);
        await page.getByRole("button", { name: "Begin", exact: true }).waitFor();
        await check("welcome");
        await ready(page);
        await check("empty");
        await ask(page, "Explain a rainbow in two sentences.");
        await page.getByRole("button", { name: "Compare with the base model" }).click();
        await page.locator(".side:not([aria-busy]) p").nth(1).waitFor();
        await check("chat");
        await ask(page, here.server.lesson.prompt);
        await page.getByRole("button", { name: "Edit to correct" }).click();
        await check("editor");
        await page.getByRole("button", { name: "Cancel" }).click();
        await correct(page, here.server.lesson.answer);
        await show(page, "Learn");
        await check("waiting");
        const learned = learn(page);
        await page.getByText(/^Step ([5-9]|\d\d)(?!.*is kept)/).waitFor();
        await check("learning");
        await learned;
        await check("verdict");
        await show(page, "Versions");
        await page.getByRole("button", { name: /^Name it: Version/ }).click();
        await page.getByRole("textbox", { name: "Name" }).fill("before-harvest");
        await check("naming");
        await page.getByRole("button", { name: "Give this name" }).click();
        await page.getByRole("button", { name: "Take the name before-harvest away" }).waitFor();
        await page.getByText("Compare two versions").click();
        await check("versions");
        await show(page, "Data");
        await check("data");
        await page.getByRole("button", { name: /^Model and device/ }).click();
        await check("menu");
        await page.getByRole("button", { name: /^Models/ }).click();
        await page.getByRole("dialog", { name: "Models" }).waitFor();
        await check("models");
        await context.close();
      },
    );
  }
}

test("the checker finds a planted fault", { timeout: PATIENCE_MS }, async () => {
  const context = await here.browser.newContext({ bypassCSP: true });
  const page = await open(context, here.server.url);
  await ready(page);
  await page.evaluate(() => {
    const input = document.createElement("input");
    input.style.color = "#777";
    document.querySelector(".composer").append(input);
  });
  assert.match((await serious(page)).join("\n"), /^label: /m);
  await context.close();
});

test(
  "ask, correct, learn and go back without a pointer",
  { timeout: 2 * PATIENCE_MS },
  async () => {
    const context = await here.browser.newContext({ viewport: SIZES.desk });
    const page = await open(context, here.server.url);
    await page.getByRole("button", { name: "Begin", exact: true }).waitFor();
    const press = (key) => page.keyboard.press(key);
    /** Goes on with Tab until the focus is on what has this name. */
    const reach = async (name) => {
      for (let presses = 0; presses < 60; presses++) {
        await press("Tab");
        const focused = await page.evaluate(() => {
          const element = document.activeElement;
          return element?.getAttribute("aria-label") ?? element?.innerText ?? "";
        });
        if (focused.trim().startsWith(name)) return;
      }
      assert.fail(`Tab does not reach “${name}”`);
    };
    await reach("Begin");
    await press("Enter");
    await page.getByRole("textbox", { name: "Message" }).waitFor();
    await reach("Message");
    await page.keyboard.type(here.server.lesson.prompt);
    await press("Enter");
    const edit = page.getByRole("button", { name: "Edit to correct" });
    await edit.waitFor();
    await press("Shift+Tab");
    await edit.focus();
    await press("Enter");
    await press("Control+A");
    await page.keyboard.type(here.server.lesson.answer);
    await press("Control+Enter");
    await page.getByText("Corrected", { exact: true }).waitFor();
    await reach("Learn now");
    await press("Enter");
    await page.getByRole("article", { name: "Verdict" }).waitFor();
    await page.getByRole("button", { name: "Send" }).waitFor();
    await page.evaluate(() => document.querySelector(".part-versions").focus());
    await press("Enter");
    await reach("Roll back to this: Base model");
    await press("Enter");
    await page.getByRole("listitem", { name: "Base model" }).getByText("Answers now").waitFor();
    assert.deepEqual(page.faults, []);
    await context.close();
  },
);

test(
  "who asks for less motion gets none, and news is told aloud",
  { timeout: PATIENCE_MS },
  async () => {
    const context = await here.browser.newContext({ reducedMotion: "reduce" });
    const page = await open(context, here.server.url);
    await ready(page);
    const box = page.getByRole("textbox", { name: "Message" });
    await box.fill("word ".repeat(200));
    await press(page, "Enter");
    await page.locator(".answer.streaming .prose p").waitFor();
    const log = page.getByRole("log", { name: "Conversation" });
    // While words come one by one the region is busy: readers wait for the whole.
    assert.equal(await log.getAttribute("aria-busy"), "true");
    const moving = await page.evaluate(
      () =>
        document.getAnimations().filter((a) => a.effect.getComputedTiming().duration > 10).length,
    );
    assert.equal(moving, 0);
    await press(page, "Escape");
    await page.getByText("Stopped", { exact: true }).waitFor();
    assert.equal(await log.getAttribute("aria-busy"), null);
    assert.equal(await log.getAttribute("aria-live"), "polite");
    await context.close();
  },
);

const press = (page, key) => page.keyboard.press(key);
