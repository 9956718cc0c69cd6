/**
 * The models that can be used here: kept ones, files of the disk, and where more come from.
 *
 * It knows nothing of GGUF. Invariant: the model that runs is marked and cannot be deleted; a file of
 * the disk is read where it lies, never copied.
 */

import type { App } from "../app";
import type { KeptModel } from "../engine/protocol";
import { type FileEntry, openPageStore } from "../page-store";
import { showDialog } from "./dialog";
import { h, icon, pickFiles } from "./dom";
import { bytes } from "./format";

/** What browsers with File System Access add, and TypeScript does not know. */
interface PickerWindow {
  showOpenFilePicker?(options: object): Promise<FileSystemFileHandle[]>;
}

interface Permitting {
  requestPermission?(options: { mode: "read" }): Promise<PermissionState>;
}

/** Lets the person pick a file and runs it; its handle is remembered where there is one. */
export async function openModelFile(app: App): Promise<void> {
  const { showOpenFilePicker } = window as PickerWindow;
  try {
    if (showOpenFilePicker) {
      const accept = { "application/octet-stream": [".gguf"] };
      const types = [{ description: "GGUF models", accept }];
      const [handle] = await showOpenFilePicker.call(window, { types });
      if (handle) await useHandle(app, handle);
      return;
    }
  } catch (error) {
    // Closing the picker is no failure.
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (!(error instanceof DOMException && error.name === "SecurityError")) return app.fail(error);
  }
  const [file] = await pickFiles({ accept: ".gguf", multiple: false });
  if (file) await app.loader.load({ kind: "file", file });
}

/** Runs a file of the disk and remembers where it lies. */
export async function useHandle(app: App, handle: FileSystemFileHandle): Promise<void> {
  const file = await handle.getFile();
  const store = await openPageStore();
  await store.putFile({ name: file.name, bytes: file.size, handle });
  await app.loader.load({ kind: "file", file });
}

export async function showModels(app: App): Promise<void> {
  const [survey, store] = await Promise.all([app.loader.look(), openPageStore()]);
  const files = await store.files();
  showDialog("Models", (close) => {
    const list = h("ul", { class: "models", "aria-label": "Models" });
    const rows = survey.kept.map((model) => keptRow(app, model, close));
    const { announced } = survey;
    if (announced && !survey.kept.some(({ key }) => key === announced.sha256)) {
      const load = () => use(close, () => app.loader.load({ kind: "page" }));
      rows.unshift(line(announced.name, `${bytes(announced.bytes)}, to be fetched`, "Fetch", load));
    }
    list.append(...rows, ...files.map((file) => fileRow(app, file, close)));
    const open = h("button", { onclick: () => use(close, () => openModelFile(app)) });
    open.append(icon("file"), "Open a model file");
    const room = `${bytes(survey.usage)} used of ${bytes(survey.quota)} that the browser allows.`;
    return [
      list,
      addressForm(app, close),
      h("div", { class: "actions" }, open),
      h("p", { class: "quiet-text" }, room),
    ];
  });
}

/** A model that lies on the page's own server. */
function addressForm(app: App, close: () => void): HTMLElement {
  const input = h("input", { class: "address", placeholder: "/models/other.gguf" });
  const load = h("button", { class: "small" }, "Load");
  load.addEventListener("click", () => {
    const path = input.value.trim();
    if (path === "") input.focus();
    else use(close, () => app.loader.load({ kind: "path", path }));
  });
  const label = h("label", { class: "stacked" }, h("span", {}, "Address on this server"), input);
  return h("div", { class: "address-form" }, label, load);
}

function use(close: () => void, work: () => Promise<void>): void {
  close();
  void work();
}

function isRunning(app: App, model: KeptModel): boolean {
  return app.info.value?.model_hash === model.sha256 || app.loader.runningKey() === model.key;
}

function keptRow(app: App, model: KeptModel, close: () => void): HTMLElement {
  if (isRunning(app, model)) return line(model.name, bytes(model.bytes), "", () => undefined, true);
  const load = () => use(close, () => app.loader.load({ kind: "kept", key: model.key }));
  const item = line(model.name, bytes(model.bytes), "Use", load);
  const remove = h("button", { class: "icon-button", "aria-label": `Delete ${model.name}` });
  remove.append(icon("trash"));
  remove.addEventListener("click", () => {
    remove.disabled = true;
    app.call("deleteModel", model.key).then(
      () => item.remove(),
      (error: unknown) => app.fail(error),
    );
  });
  item.append(remove);
  return item;
}

function fileRow(app: App, entry: FileEntry, close: () => void): HTMLElement {
  const load = async () => {
    try {
      const { handle } = entry;
      const state = await (handle as Permitting).requestPermission?.({ mode: "read" });
      if (state === "denied") throw new Error(`the browser may not read ${entry.name}`);
      close();
      await app.loader.load({ kind: "file", file: await handle.getFile() });
    } catch (error) {
      app.fail(error);
    }
  };
  const item = line(entry.name, `${bytes(entry.bytes)}, on your disk`, "Use", () => void load());
  const forget = h("button", { class: "icon-button", "aria-label": `Forget ${entry.name}` });
  forget.append(icon("close"));
  forget.addEventListener("click", () => {
    void openPageStore().then((store) => store.deleteFile(entry.name));
    item.remove();
  });
  item.append(forget);
  return item;
}

function line(
  name: string,
  size: string,
  word: string,
  load: () => void,
  runs = false,
): HTMLElement {
  const text = h("div", {}, h("span", { class: "model-file" }, name), h("small", {}, size));
  const mark = h("span", { class: "chip accent" }, "Runs now");
  const button = h(
    "button",
    { class: "small", onclick: load, "aria-label": `${word} ${name}` },
    word,
  );
  return h("li", { class: "model" }, text, runs ? mark : button);
}
