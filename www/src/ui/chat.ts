/**
 * The chat: its head with title and context, the thread, and the box to write in.
 *
 * It knows nothing of how answers come. Invariant: what is being written stays in the box until it
 * was answered.
 */

import type { App } from "../app";
import { h, icon } from "./dom";
import { Thread } from "./thread";
import { threadSettings } from "./thread-settings";
import { tour } from "./tour";

export function chatView(app: App): HTMLElement {
  const thread = new Thread(app);
  return h(
    "main",
    { class: "chat" },
    head(app),
    tour(app),
    h("div", { class: "chat-scroll" }, thread.element),
    composer(app, thread),
  );
}

function head(app: App): HTMLElement {
  const title = h("h2", { class: "chat-title" });
  const list = h(
    "button",
    { class: "icon-button list-button", popovertarget: "threads", "aria-label": "Conversations" },
    icon("list"),
  );
  const settings = threadSettings(app);
  const meter = contextMeter(app);
  app.conversations.current.watch(({ title: text }) => {
    title.textContent = text || "New conversation";
  });
  return h("div", { class: "chat-head" }, list, title, meter, settings);
}

/** How much of the model's memory for one conversation is used. */
function contextMeter(app: App): HTMLElement {
  const meter = h("meter", { min: 0, low: 0, "aria-label": "Context used" });
  const text = h("span", { class: "note" });
  const box = h("div", { class: "context", title: "Tokens of this conversation" }, meter, text);
  const show = () => {
    const context = app.info.value?.context ?? 0;
    const { turns } = app.conversations.current.value;
    const used = turns.findLast(({ tokens }) => tokens !== undefined)?.tokens ?? 0;
    box.hidden = context === 0 || used === 0;
    meter.max = context;
    meter.high = 0.8 * context;
    meter.optimum = 0;
    meter.value = used;
    text.textContent = `${used} of ${context}`;
    meter.setAttribute("aria-valuetext", `${used} of ${context} tokens`);
  };
  app.info.watch(show);
  app.conversations.current.watch(show);
  return box;
}

function composer(app: App, thread: Thread): HTMLElement {
  const area = h("textarea", {
    class: "ask",
    "aria-label": "Message",
    placeholder: "Ask something",
    rows: 1,
  });
  const send = h("button", { class: "send", "aria-label": "Send" }, icon("send"));
  const stop = h(
    "button",
    { class: "send stop", "aria-label": "Stop answering", onclick: () => app.stop("chat") },
    icon("stop"),
  );
  const submit = () => {
    const text = area.value.trim();
    if (text === "" || app.answering.value) return;
    area.value = "";
    void thread.ask(text).then((answered) => {
      if (!answered && area.value === "") area.value = text;
    });
  };
  send.addEventListener("click", submit);
  area.addEventListener("keydown", (event) => {
    // An input method's own Enter chooses a word; it does not send.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  const hint = h("p", { class: "hint" });
  const begin = () => {
    app.conversations.begin();
    area.focus();
  };
  const fresh = h("button", { class: "quiet new-conversation", onclick: begin });
  fresh.append(icon("plus"), "New conversation");
  app.answering.watch((answering) => {
    send.hidden = answering;
    stop.hidden = !answering;
    fresh.disabled = answering;
    document.body.classList.toggle("answering", answering);
  });
  app.learning.watch((learning) => {
    hint.classList.toggle("urgent", learning);
    hint.textContent = learning
      ? "It is learning. Ask on: it answers between two steps."
      : "Small models make mistakes. Correct one, and it can learn.";
  });
  return h(
    "div",
    { class: "composer" },
    h("div", { class: "ask-box" }, area, send, stop),
    h("div", { class: "under-ask" }, hint, fresh),
  );
}
