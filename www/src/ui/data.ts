/**
 * The Data panel: everything that is stored, readable and deletable, and what goes in and out.
 *
 * It knows nothing of how examples are used. Invariant: what is listed here is all that is kept.
 */

import type { App } from "../app";
import type { Example } from "../engine/contract";
import { dropped, type Placed, placed } from "../folders";
import { lessonsOf } from "../imports";
import { h, icon, pickFiles } from "./dom";
import { exampleRow } from "./example";
import { plural } from "./format";
import { homeTools } from "./home";
import { useHandle } from "./models";

/** More rows at once would make the page slow; the rest comes on request. */
const SHOWN_AT_ONCE = 60;

export function dataPanel(app: App): HTMLElement {
  const list = h("ul", { class: "examples", "aria-label": "Stored examples" });
  const lead = h("p", { class: "lead" });
  const more = h("button", { class: "wide" });
  let shown = SHOWN_AT_ONCE;
  const show = () => {
    const examples = [...app.examples.value].sort((a, b) => b.created_ms - a.created_ms);
    lead.textContent = leadOf(examples);
    list.replaceChildren(...examples.slice(0, shown).map((example) => exampleRow(app, example)));
    more.hidden = examples.length <= shown;
    more.textContent = `Show ${Math.min(SHOWN_AT_ONCE, examples.length - shown)} more`;
  };
  more.addEventListener("click", () => {
    shown += SHOWN_AT_ONCE;
    show();
  });
  app.examples.watch(show);
  app.versions.watch(show);
  app.learning.watch(show);
  return h(
    "section",
    { class: "panel panel-data", "aria-label": "Data" },
    h("h2", { class: "panel-title" }, "Data"),
    lead,
    dropZone(app),
    list,
    more,
    homeTools(app),
  );
}

function leadOf(examples: Example[]): string {
  if (examples.length === 0) {
    return "Nothing is stored yet. What you teach is kept here, on this device only.";
  }
  return `${plural(examples.length, "example")} on this device. Read, change or delete them.`;
}

function dropZone(app: App): HTMLElement {
  const take = (files: File[]) => void importFiles(app, placed(files));
  const zone = h(
    "div",
    { class: "drop" },
    icon("file"),
    h("p", {}, "Drop notes, a folder of code, a .jsonl of lessons or ChatGPT's export"),
    h(
      "button",
      {
        class: "small",
        onclick: () => void pickFiles({ accept: "", multiple: true }).then(take),
      },
      "Choose files",
    ),
    h(
      "button",
      {
        class: "small",
        onclick: () =>
          void pickFiles({ accept: "", multiple: true, folder: true }).then(take),
      },
      "Choose a folder",
    ),
  );
  // The whole window takes files: a file that misses the zone must not replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) zone.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    const files = [...(event.dataTransfer?.files ?? [])];
    const model = files.some(({ name }) => name.endsWith(".gguf"));
    const items = event.dataTransfer?.items;
    if (model && items) void openDropped(app, items, files);
    else if (items) void takeDropped(app, items);
  });
  return zone;
}

/** What browsers with File System Access add to a dropped file. */
interface Dropped {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

/** A dropped model is remembered where the browser gives a handle, and read where it lies. */
async function openDropped(app: App, items: DataTransferItemList, files: File[]): Promise<void> {
  const asked = [...items].map((item) => (item as Dropped).getAsFileSystemHandle?.());
  const handles = await Promise.all(asked.filter((handle) => handle !== undefined));
  const found = handles.find((handle) => handle?.kind === "file" && handle.name.endsWith(".gguf"));
  if (found) await useHandle(app, found as FileSystemFileHandle);
  else await importFiles(app, placed(files));
}

async function takeDropped(app: App, items: DataTransferItemList): Promise<void> {
  try {
    await importFiles(app, await dropped(items));
  } catch (error) {
    app.fail(error);
  }
}

async function importFiles(app: App, files: Placed[]): Promise<void> {
  const model = files.find(({ path }) => path.endsWith(".gguf"));
  if (model) {
    await app.loader.load({ kind: "file", file: model.file });
    return;
  }
  if (files.length === 0 || app.loader.stage.value.name !== "ready") return;
  try {
    const lessons = (await Promise.all(files.map(lessonsOf))).flat();
    app.view.value = "data";
    await app.teach(lessons);
  } catch (error) {
    app.fail(error);
  }
}
