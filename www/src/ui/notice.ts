/**
 * One line at the foot of the page: what was done, or what went wrong.
 *
 * It knows nothing of its causes. Invariant: news goes by itself, an error stays until closed.
 */

import type { App } from "../app";
import { h, icon } from "./dom";
import { sentence } from "./format";

const NEWS_SHOWN_MS = 4_500;

export function noticeBar(app: App): HTMLElement {
  const text = h("span", { class: "notice-text" });
  const close = h(
    "button",
    { class: "icon-button", "aria-label": "Dismiss", onclick: () => (app.notice.value = null) },
    icon("close"),
  );
  const bar = h("div", { class: "notice", role: "status", "aria-live": "polite" }, text, close);
  let timer: ReturnType<typeof setTimeout> | undefined;
  app.notice.watch((notice) => {
    clearTimeout(timer);
    bar.classList.toggle("shown", notice !== null);
    bar.classList.toggle("failed", notice?.failed ?? false);
    text.textContent = notice ? sentence(notice.text) : "";
    close.hidden = notice === null;
    if (notice && !notice.failed)
      timer = setTimeout(() => (app.notice.value = null), NEWS_SHOWN_MS);
  });
  return bar;
}
