/**
 * What is on the screen until the model answers: what this is, progress with the time left, or what
 * to do instead.
 *
 * It knows nothing of downloads. Invariant: it is hidden exactly while the app is ready.
 */

import type { App } from "../app";
import type { Progress } from "../engine/contract";
import type { Survey } from "../engine/protocol";
import type { Stage } from "../loader";
import { h } from "./dom";
import { bytes, duration, sentence } from "./format";
import { openModelFile } from "./models";

/** What this is. */
const SENTENCE = "A small language model that learns from your corrections.";

/** The rate of the first moments says nothing. */
const RATE_FROM_MS = 1_000;

export function loading(app: App): HTMLElement {
  const card = h("div", { class: "loading-card" });
  const screen = h("section", { class: "loading", "aria-label": "Loading" }, card);
  const bar = h("progress", { max: 1, "aria-label": "Loading" });
  const title = h("h1", { class: "display" });
  const detail = h("p", { class: "detail", role: "status" });
  const actions = h("div", { class: "actions" });
  const small = h("p", { class: "quiet-text" });
  card.append(title, detail, bar, actions, small);
  const clock = new Clock();
  let shown = "";
  app.loader.stage.watch((stage) => {
    screen.hidden = stage.name === "ready";
    title.textContent = titleOf(stage);
    detail.textContent = detailOf(stage, clock);
    small.textContent = stage.name === "welcome" ? promiseOf(stage.survey) : "";
    bar.hidden = stage.name !== "loading" && stage.name !== "looking";
    const progress = stage.name === "loading" ? stage.progress : null;
    if (progress && progress.total > 0) bar.value = progress.done / progress.total;
    else bar.removeAttribute("value");
    // Buttons are built once a stage, so that progress does not take the focus from them.
    if (shown !== stage.name) actions.replaceChildren(...actionsOf(app, stage));
    shown = stage.name;
  });
  return screen;
}

function titleOf(stage: Stage): string {
  if (stage.name === "welcome") {
    return stage.survey.announced ? SENTENCE : "Bring a model";
  }
  if (stage.name === "failed") return stage.needsModel ? "Bring a model" : "It did not start";
  if (stage.name === "elsewhere") return "Open in another tab";
  return "Getting ready";
}

function detailOf(stage: Stage, clock: Clock): string {
  if (stage.name === "failed") return sentence(stage.message);
  if (stage.name === "elsewhere") return "Waiting for the tab that runs the model …";
  if (stage.name === "welcome") {
    const needs = stage.survey.announced ? "" : " This page brings no model: open a .gguf file.";
    return `It runs in this page, on your own device, and what you write stays here.${needs}`;
  }
  return stage.name === "loading" ? progressText(stage.progress, clock) : "Looking around …";
}

function promiseOf({ announced, quota, usage }: Survey): string {
  if (!announced) return "";
  const room = quota > 0 ? ` This browser has ${bytes(Math.max(0, quota - usage))} of room.` : "";
  return `The download is ${bytes(announced.bytes)}, and only this once.${room}`;
}

function progressText(progress: Progress | null, clock: Clock): string {
  if (!progress) return "Looking for the model on this device …";
  const { phase, done, total } = progress;
  if (phase === "engine") return "Starting the engine …";
  const amount = total > 0 ? `${bytes(done)} of ${bytes(total)}` : bytes(done);
  const left = clock.left(progress);
  if (phase === "download") return `Fetching the model, once: ${amount}${left}`;
  if (total > 0 && done >= total) return "Compiling shaders and measuring what is fastest here …";
  const what = WORDS[phase] ?? phase;
  return total > 0 ? `${what}: ${amount}${left}` : `${what} …`;
}

const WORDS: Record<string, string> = {
  verify: "Checking the model",
  weights: "Putting the model onto the device",
};

/** How long a phase still takes, at its pace so far. */
class Clock {
  #phase = "";
  #began_ms = 0;
  #first = 0;

  left({ phase, done, total }: Progress): string {
    const now = Date.now();
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#began_ms = now;
      this.#first = done;
    }
    const passed_ms = now - this.#began_ms;
    const gained = done - this.#first;
    if (total === 0 || gained <= 0 || passed_ms < RATE_FROM_MS) return "";
    const seconds = ((total - done) / gained) * (passed_ms / 1000);
    return seconds < 1 ? "" : `, ${duration(seconds)} left`;
  }
}

function actionsOf(app: App, stage: Stage): Node[] {
  const { loader } = app;
  if (stage.name === "elsewhere") {
    return [
      h("button", { class: "primary", onclick: () => void loader.takeOver() }, "Use it here"),
    ];
  }
  const pick = (style: string) =>
    h("button", { class: style, onclick: () => void openModelFile(app) }, "Open a model file");
  const own = () => void loader.load({ kind: "page" });
  if (stage.name === "welcome") {
    const { announced } = stage.survey;
    if (!announced) return [pick("primary")];
    return [h("button", { class: "primary begin", onclick: own }, "Begin"), pick("quiet")];
  }
  if (stage.name !== "failed") return [];
  const again = h("button", { onclick: () => void loader.reload() }, "Try again");
  if (stage.needsModel) return [pick("primary"), again];
  again.className = "primary";
  return [
    again,
    h("button", { onclick: () => void loader.setDevice("cpu") }, "Try on the CPU"),
    loader.choice.kind === "page"
      ? pick("")
      : h("button", { onclick: own }, "Use the page’s own model"),
  ];
}
