/**
 * The exam's table: each suite before and after, and whether the change helps or hurts.
 *
 * It knows nothing of the gate's decision. Invariant: colour only repeats what the words say.
 */

import type { Suites } from "../engine/contract";
import { h } from "./dom";
import { change, inNats, inOrder, isLoss, score, suiteName } from "./format";

export function suitesTable(suites: Suites): HTMLElement {
  const rows = inOrder(suites).map(([name, suite]) => {
    const nats = inNats(name, suite);
    const effect = change(name, suite);
    const better = isLoss(name, suite) ? "lower" : "higher";
    const title = nats ? `Nats a token: ${better} is better` : `${suite.n} questions`;
    return h(
      "tr",
      { title },
      h("th", { scope: "row" }, suiteName(name), h("small", {}, ` ${suite.n}`)),
      h("td", {}, score(suite.before, nats)),
      h("td", {}, score(suite.after, nats)),
      h("td", { class: effect.kind }, effect.words, h("small", {}, effect.chance)),
    );
  });
  const heads = ["Exam", "Before", "After", "Change"].map((text) =>
    h("th", { scope: "col" }, text),
  );
  return h(
    "table",
    { class: "suites" },
    h("thead", {}, h("tr", {}, ...heads)),
    h("tbody", {}, ...rows),
  );
}
