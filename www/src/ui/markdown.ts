/**
 * Markdown to safe elements.
 *
 * It knows nothing of who wrote the text, and so trusts nobody. Invariant: no attribute, image,
 * form or style survives that could load, send or cover anything.
 */

import DOMPurify from "dompurify";
import { marked } from "marked";
import { copyButton } from "./copy";
import { h } from "./dom";

const TAGS =
  "p br strong em del code pre blockquote ul ol li hr h1 h2 h3 h4 h5 h6 " +
  "table thead tbody tr th td a";

/** `whole` texts get their buttons; one that still grows would lose them with every token. */
export function markdown(text: string, whole = false): DocumentFragment {
  const html = marked.parse(text, { async: false, gfm: true, breaks: true });
  const fragment = DOMPurify.sanitize(html, {
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_TAGS: TAGS.split(" "),
    // The class tells a code's language and nothing else: see below.
    ALLOWED_ATTR: ["href", "start", "class"],
    ALLOWED_URI_REGEXP: /^https?:/i,
  });
  for (const element of fragment.querySelectorAll("[class]:not(code)")) {
    element.removeAttribute("class");
  }
  for (const link of fragment.querySelectorAll("a")) {
    // A link leaves this page only on a click, and tells the other side nothing of it.
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const block of fragment.querySelectorAll("pre")) frame(block, whole);
  return fragment;
}

/** A block of code with its language and a button to copy it. */
function frame(block: HTMLElement, whole: boolean): void {
  const code = block.querySelector("code");
  const language = /^language-([\w+#.-]{1,20})$/.exec(code?.className ?? "")?.[1] ?? "code";
  code?.removeAttribute("class");
  // Wide code scrolls; the keyboard must reach it.
  block.tabIndex = 0;
  const head = h("div", { class: "code-head" }, h("span", {}, language));
  if (whole) head.append(copyButton("Copy code", () => block.textContent));
  const box = h("div", { class: "code" });
  block.replaceWith(box);
  box.append(head, block);
}
