/**
 * The way between the page's parts: above the panels on a desk, at the bottom of a phone.
 *
 * It knows nothing of what the parts show. Invariant: exactly one part is the current one.
 */

import type { App, View } from "../app";
import { h, icon, type IconName } from "./dom";

const PARTS: [view: View, name: string, icon: IconName][] = [
  ["chat", "Chat", "chat"],
  ["learn", "Learn", "learn"],
  ["versions", "Versions", "versions"],
  ["data", "Data", "data"],
];

export function navigation(app: App): HTMLElement {
  const badge = h("span", { class: "badge", "aria-hidden": "true" });
  const buttons = PARTS.map(([view, name, picture]) =>
    h(
      "button",
      { class: `part part-${view}`, onclick: () => (app.view.value = view) },
      icon(picture),
      h("span", {}, name),
      view === "learn" && badge,
    ),
  );
  app.view.watch((current) => {
    for (const [row, [view]] of PARTS.entries()) {
      buttons[row]?.setAttribute("aria-current", String(view === current));
    }
  });
  app.examples.watch((examples) => {
    const waiting = examples.filter((example) => !example.learned).length;
    badge.textContent = waiting === 0 ? "" : String(waiting);
  });
  return h("nav", { class: "parts", "aria-label": "Parts" }, ...buttons);
}
