/**
 * How the page stands on a phone and on a desk, in both themes: nothing wider than the screen,
 * everything pressable has a name. Always on the stand-in engine. Pictures for a person's eye go
 * to APPRENTICE_SHOTS.
 */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
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

const shots = process.env.APPRENTICE_SHOTS;
const SIZES = { phone: { width: 380, height: 780 }, desk: { width: 1280, height: 800 } };
const here = stage(serveMock);
before(async () => {
  if (shots) await mkdir(shots, { recursive: true });
});

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ["light", "dark"]) {
    test(`${size}, ${colorScheme}`, { timeout: 4 * PATIENCE_MS }, async () => {
      const context = await here.browser.newContext({ viewport, colorScheme });
      const page = await open(context, `${here.server.url}?device=gpu&tokens_max=64${here.server.query}`);
      await ready(page);
      const check = (name) => checkView(page, `${name}-${size}-${colorScheme}`);
      await check("empty");
      await ask(page, "Explain a rainbow in two sentences.");
      await check("chat");
      await page.getByRole("button", { name: "Edit to correct" }).last().click();
      await check("edit");
      await page.getByRole("button", { name: "Cancel" }).click();
      await ask(page, here.server.lesson.prompt);
      await correct(page, here.server.lesson.answer);
      await show(page, "Learn");
      await check("waiting");
      const learned = learn(page);
      await page.getByText(/^Step ([5-9]|\d\d)(?!.*is kept)/).waitFor();
      await check("learning");
      await learned;
      await check("verdict");
      await show(page, "Versions");
      await check("versions");
      await show(page, "Data");
      await check("data");
      await page.getByRole("button", { name: /^Model and device/ }).click();
      await page.getByRole("button", { name: /^GPU/ }).waitFor();
      await check("menu");
      assert.deepEqual(page.faults, []);
      await context.close();
    });
  }
}

async function checkView(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
  const found = await page.evaluate(() => {
    const root = document.documentElement;
    const visible = (element) => element.checkVisibility({ visibilityProperty: true });
    const controls = [...document.querySelectorAll("button, input, textarea, summary")].filter(
      visible,
    );
    const nameOf = (element) =>
      element.getAttribute("aria-label") ||
      element.innerText ||
      element.labels?.[0]?.innerText ||
      "";
    const wide = [...document.querySelectorAll("body *")].filter((element) => {
      const { right, width } = element.getBoundingClientRect();
      return (
        visible(element) &&
        width > 0 &&
        right > innerWidth + 1 &&
        !element.closest("pre, .prose table")
      );
    });
    return {
      overflow: root.scrollWidth - innerWidth,
      wide: wide.map((element) => `${element.tagName}.${element.className}`),
      nameless: controls.filter((element) => nameOf(element).trim() === "").map((e) => e.outerHTML),
      ink: getComputedStyle(document.body).color,
      paper: getComputedStyle(document.body).backgroundColor,
    };
  });
  assert.ok(found.overflow <= 0, `${name} scrolls sideways by ${found.overflow} px`);
  assert.deepEqual(found.wide, [], `${name} has elements beyond the edge`);
  assert.deepEqual(found.nameless, [], `${name} has controls without a name`);
  const light = (color) =>
    color
      .match(/[\d.]+/g)
      .slice(0, 3)
      .reduce((sum, part) => sum + Number(part), 0);
  const dark = name.endsWith("dark");
  assert.equal(light(found.paper) < light(found.ink), dark, `${name} is in the wrong theme`);
}
