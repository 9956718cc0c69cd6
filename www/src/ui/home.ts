/**
 * All that is kept as one file: out, in again on another device, or gone.
 *
 * It knows nothing of what the file holds. Invariant: nothing is replaced or erased without a
 * question that says what will be gone.
 */

import type { App } from "../app";
import { openPageStore } from "../page-store";
import { saveFile } from "../save";
import { rememberKept } from "../settings";
import { confirmDialog } from "./dialog";
import { h, icon, pickFiles } from "./dom";

export function homeTools(app: App): HTMLElement {
  const button = (name: string, picture: "save" | "open" | "trash", work: () => void) => {
    const made = h("button", { class: "small", onclick: work }, icon(picture), name);
    app.learning.watch((learning) => (made.disabled = learning));
    return made;
  };
  return h(
    "div",
    { class: "home" },
    h("h3", {}, "All of it"),
    h(
      "p",
      { class: "quiet-text" },
      "Lessons, versions and history in one file, for a backup or another device.",
    ),
    h(
      "div",
      { class: "actions" },
      button("Export", "save", () => void exportAll(app)),
      button("Import", "open", () => void importAll(app)),
      button("Erase", "trash", () => eraseAll(app)),
    ),
    h(
      "p",
      { class: "quiet-text" },
      "This page is made of the work of others: ",
      h("a", { href: "./LICENSES.txt", target: "_blank" }, "its licences"),
      " and ",
      h("a", { href: "./engine/LICENSES.txt", target: "_blank" }, "the engine's"),
      ".",
    ),
  );
}

async function exportAll(app: App): Promise<void> {
  try {
    const day = new Date().toISOString().slice(0, 10);
    saveFile(`apprentice-${day}.home`, await app.call("exportHome", null));
  } catch (error) {
    app.fail(error);
  }
}

async function importAll(app: App): Promise<void> {
  const [file] = await pickFiles({ accept: ".home", multiple: false });
  if (!file) return;
  const work = () =>
    void app.tell(async () => {
      await app.call("importHome", file);
      await app.loader.reload();
      return "What the file held is here now.";
    });
  if (app.examples.value.length + app.versions.value.length === 0) return work();
  const text = "What was taught and learned here is replaced by what the file holds.";
  confirmDialog("Replace everything here?", text, "Replace", work);
}

function eraseAll(app: App): void {
  const text =
    "All lessons, versions, history and conversations on this device go, and nothing brings them " +
    "back. Models stay.";
  confirmDialog("Erase everything?", text, "Erase everything", () => {
    void app.tell(async () => {
      await app.call("erase", null);
      await (await openPageStore()).clear();
      await app.conversations.recall();
      rememberKept(0);
      await app.loader.reload();
      return "Nothing is left here.";
    });
  });
}
