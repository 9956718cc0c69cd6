/**
 * What is on the screen until the model answers: progress in bytes, or what to do instead.
 *
 * It knows nothing of downloads. Invariant: it is hidden exactly while the app is ready.
 */

import type { App, Stage } from "../app";
import type { Progress } from "../engine/contract";
import { h, pickFiles } from "./dom";
import { bytes, sentence } from "./format";

export function loading(app: App): HTMLElement {
  const card = h("div", { class: "loading-card" });
  const screen = h("section", { class: "loading", "aria-label": "Loading" }, card);
  const bar = h("progress", { max: 1, "aria-label": "Loading" });
  const title = h("h1", { class: "display" });
  const detail = h("p", { class: "detail", role: "status" });
  const actions = h("div", { class: "actions" });
  card.append(title, detail, bar, actions);
  let shown = "";
  app.stage.watch((stage) => {
    screen.hidden = stage.name === "ready";
    title.textContent = titleOf(stage);
    detail.textContent = detailOf(stage);
    bar.hidden = stage.name !== "loading";
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
  if (stage.name === "failed") return stage.needsModel ? "Bring a model" : "It did not start";
  if (stage.name === "elsewhere") return "Open in another tab";
  return "Getting ready";
}

function detailOf(stage: Stage): string {
  if (stage.name === "failed") return sentence(stage.message);
  if (stage.name === "elsewhere")
    return "One tab at a time runs the model, so that nothing is lost.";
  return stage.name === "loading" ? progressText(stage.progress) : "";
}

function progressText(progress: Progress | null): string {
  if (!progress) return "Looking for the model on this device …";
  const { phase, done, total } = progress;
  if (phase === "engine") return "Starting the engine …";
  const amount = total > 0 ? `${bytes(done)} of ${bytes(total)}` : bytes(done);
  if (phase === "download") return `Fetching the model, once: ${amount}`;
  return total > 0 ? `Loading the model (${phase}): ${amount}` : `Loading the model (${phase}) …`;
}

function actionsOf(app: App, stage: Stage): Node[] {
  if (stage.name === "elsewhere") {
    return [h("button", { class: "primary", onclick: () => void app.takeOver() }, "Use it here")];
  }
  if (stage.name !== "failed") return [];
  const open = async () => {
    const [file] = await pickFiles({ accept: ".gguf", multiple: false });
    if (file) await app.load({ file });
  };
  const again = () => void app.load();
  const pick = (style: string) =>
    h("button", { class: style, onclick: () => void open() }, "Open a model file");
  if (stage.needsModel) return [pick("primary"), h("button", { onclick: again }, "Try again")];
  const own = () => void app.ownModel();
  return [
    h("button", { class: "primary", onclick: again }, "Try again"),
    h("button", { onclick: () => void app.setDevice("cpu") }, "Try on the CPU"),
    app.hasPickedModel ? h("button", { onclick: own }, "Use the page’s own model") : pick(""),
  ];
}
