/**
 * The exam's table: each suite before and after, and whether the change helps or hurts.
 *
 * It knows nothing of the gate's decision. Invariant: colour only repeats what the words say.
 */

import type { Suites } from "../engine/contract";
import { h } from "./dom";
import { change, inOrder, isLoss, score, suiteName } from "./format";

export function suitesTable(suites: Suites): HTMLElement {
  const rows = inOrder(suites).map(([name, suite]) => {
    const loss = isLoss(name, suite);
    const effect = change(name, suite);
    const title = loss ? "Nats a token: lower is better" : `${suite.n} questions`;
    return h(
      "tr",
      { title },
      h("th", { scope: "row" }, suiteName(name), h("small", {}, ` ${suite.n}`)),
      h("td", {}, score(suite.before, loss)),
      h("td", {}, score(suite.after, loss)),
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
