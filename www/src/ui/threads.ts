/**
 * The list of conversations: beside the chat on a wide screen, over it elsewhere.
 *
 * It knows nothing of turns. Invariant: exactly the open conversation is marked as current, and what
 * is deleted was asked about first.
 */

import type { App } from "../app";
import { asMarkdown, type Conversation, search } from "../conversations";
import { saveFile } from "../save";
import { confirmDialog } from "./dialog";
import { h, icon } from "./dom";
import { when } from "./format";

/** More rows at once would make the page slow; search finds the rest. */
const SHOWN_MAX = 100;

export function threadList(app: App): HTMLElement {
  const { conversations } = app;
  const list = h("ul", { class: "thread-list", "aria-label": "Conversations" });
  const query = h("input", {
    type: "search",
    class: "thread-search",
    "aria-label": "Search conversations",
    placeholder: "Search",
  });
  const side = h("aside", { class: "threads", id: "threads", popover: "auto" });
  const show = () => {
    const found = search(conversations.list.value, query.value);
    const rows = found.slice(0, SHOWN_MAX).map((conversation) => row(app, conversation, side));
    const nothing = query.value === "" ? "None yet." : "Nothing found.";
    list.replaceChildren(...(rows.length > 0 ? rows : [h("li", { class: "note" }, nothing)]));
  };
  query.addEventListener("input", show);
  conversations.list.watch(show);
  conversations.current.watch(show);
  const begin = h("button", { class: "wide" }, icon("plus"), "New conversation");
  begin.addEventListener("click", () => {
    conversations.begin();
    close(side);
  });
  app.answering.watch((answering) => (begin.disabled = answering));
  side.setAttribute("aria-label", "Conversations");
  side.append(begin, query, list);
  return side;
}

function row(app: App, conversation: Conversation, side: HTMLElement): HTMLElement {
  const { conversations } = app;
  const { id, title, updated_ms } = conversation;
  const open = h(
    "button",
    {
      class: "thread",
      "aria-current": String(conversations.current.value.id === id),
      onclick: () => {
        if (app.answering.value) return;
        conversations.open(id);
        app.view.value = "chat";
        close(side);
      },
    },
    h("span", { class: "thread-title" }, title || "Untitled"),
    h("small", {}, when(updated_ms)),
  );
  const item = h("li", {}, open);
  const tool = (name: string, picture: "pencil" | "save" | "trash", onclick: () => void) =>
    h(
      "button",
      { class: "icon-button", "aria-label": `${name}: ${title}`, title: name, onclick },
      icon(picture),
    );
  item.append(
    h(
      "div",
      { class: "thread-tools" },
      tool("Rename", "pencil", () => rename(app, conversation, item)),
      tool("Export", "save", () => saveFile(fileName(title), asMarkdown(conversation))),
      tool("Delete", "trash", () => {
        const text = `“${title}” cannot be brought back. What you taught in it stays under Data.`;
        confirmDialog("Delete this conversation?", text, "Delete", () => {
          void conversations.remove(id);
        });
      }),
    ),
  );
  return item;
}

function rename(app: App, { id, title }: Conversation, item: HTMLElement): void {
  const input = h("input", { class: "thread-name", "aria-label": "Title" });
  input.value = title;
  let left = false;
  const done = (keep: boolean) => {
    if (left) return;
    left = true;
    // The list is drawn anew in either case, from what is kept.
    void app.conversations.rename(id, keep ? input.value : title);
  };
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") done(true);
    if (event.key === "Escape") {
      event.stopPropagation();
      event.preventDefault();
      done(false);
    }
  });
  input.addEventListener("blur", () => done(true));
  item.replaceChildren(input);
  input.select();
}

function close(side: HTMLElement): void {
  if (side.matches(":popover-open")) side.hidePopover();
}

function fileName(title: string): string {
  const words = title
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "");
  return `${words.slice(0, 40) || "conversation"}.md`;
}
