/**
 * One question, two versions of the model: their answers side by side as they come.
 *
 * It knows nothing of where it is shown. Invariant: both answer the same words with the same
 * settings, the random ones included, so that what differs is the version.
 */

import type { App } from "../app";
import type { ChatOptions, Message } from "../engine/contract";
import { h } from "./dom";
import { markdown } from "./markdown";

/** Who answers: a version's id, `base`, or `undefined` for HEAD; and what it is called. */
export interface Side {
  version: string | undefined;
  name: string;
}

/** Draws of both sides begin from this seed. */
const SEED = 7;

export async function compare(
  app: App,
  place: HTMLElement,
  messages: Message[],
  sides: [Side, Side],
  options: ChatOptions = {},
): Promise<void> {
  const columns = sides.map(({ name }) => {
    const body = h("div", { class: "prose" });
    const column = h("section", { class: "side", "aria-label": name }, h("h3", {}, name), body);
    return { column, body };
  });
  const label = { class: "sides", role: "group", "aria-label": "Answers side by side" };
  place.replaceChildren(h("div", label, ...columns.map(({ column }) => column)));
  for (const [row, { version }] of sides.entries()) {
    const column = columns[row];
    if (!column) continue;
    column.column.setAttribute("aria-busy", "true");
    let soFar = "";
    const asked = { ...options, seed: SEED, ...(version === undefined ? {} : { version }) };
    try {
      const { text } = await app.chat(messages, asked, (token) => {
        soFar += token;
        column.body.textContent = soFar;
      });
      column.body.replaceChildren(markdown(text || soFar, true));
    } catch (error) {
      app.fail(error);
      column.body.textContent = "No answer came.";
    }
    column.column.removeAttribute("aria-busy");
  }
}
