/**
 * The head of the page: the name, what runs and where, the device menu, the theme.
 *
 * It knows nothing of how a device is chosen; the engine says what it took and why. Invariant:
 * what is shown as running is what the engine reported, never what was asked for.
 */

import type { App } from "../app";
import type { DeviceChoice, Info } from "../engine/contract";
import { device, remember } from "../settings";
import { h, icon } from "./dom";
import { parameters } from "./format";
import { showModels } from "./models";
import { showShortcuts } from "./shortcuts";

const CHOICES: [choice: DeviceChoice, name: string, meaning: string][] = [
  ["auto", "Automatic", "The GPU where there is one"],
  ["gpu", "GPU", "Also a software one"],
  ["cpu", "CPU", "Works everywhere"],
];

export function header(app: App): HTMLElement {
  const name = h("span", { class: "model-name" });
  const place = h("span", {});
  const adapter = h("span", { class: "model-adapter" });
  const button = h(
    "button",
    { class: "model-button", "aria-haspopup": "true" },
    icon("chip"),
    h("span", { class: "unseen" }, "Model and device: "),
    h(
      "span",
      { class: "model-text" },
      name,
      // A space for who hears the name instead of seeing it.
      " ",
      h("span", { class: "model-place" }, place, adapter),
    ),
    icon("down"),
  );
  const menu = h("div", { class: "menu", popover: "auto", id: "device-menu" });
  button.setAttribute("popovertarget", menu.id);
  menu.addEventListener("toggle", () => fill(menu, app));
  app.info.watch((info) => {
    button.hidden = info === null;
    if (!info) return;
    name.textContent = info.model;
    place.textContent = info.device.toUpperCase();
    adapter.textContent = deviceName(info).slice(info.device.length);
  });
  return h(
    "header",
    { class: "head" },
    h("span", { class: "wordmark" }, mark(), "Apprentice"),
    elsewhere(app),
    button,
    menu,
    h(
      "button",
      { class: "icon-button help", "aria-label": "Keyboard shortcuts", onclick: showShortcuts },
      icon("help"),
    ),
    h(
      "button",
      { class: "icon-button", "aria-label": "Change theme", onclick: nextTheme },
      icon("theme"),
    ),
  );
}

function deviceName({ device, adapter }: Info): string {
  return adapter && device === "gpu" ? `GPU · ${adapter}` : device.toUpperCase();
}

function fill(menu: HTMLElement, app: App): void {
  const info = app.info.value;
  const current = device();
  const options = CHOICES.map(([choice, name, meaning]) =>
    h(
      "button",
      {
        class: "menu-item",
        "aria-pressed": String(choice === current),
        onclick: () => {
          menu.hidePopover();
          if (choice !== current) void app.loader.setDevice(choice);
        },
      },
      h("span", {}, name),
      h("small", {}, meaning),
    ),
  );
  const models = () => {
    menu.hidePopover();
    void showModels(app);
  };
  menu.replaceChildren(
    h("div", { role: "group", "aria-label": "Device" }, ...options),
    h("button", { class: "menu-item", onclick: models }, "Models …"),
    info ? facts(info) : "",
  );
}

/** Said while another tab runs the model for this one. */
function elsewhere(app: App): HTMLElement {
  const take = h("button", { class: "quiet", onclick: () => void app.loader.takeOver() });
  take.append("Runs in another tab · Run it here");
  take.hidden = true;
  app.loader.remote.watch((remote) => (take.hidden = !remote));
  return take;
}

function facts(info: Info): HTMLElement {
  const rows: [string, string][] = [
    ["Model", `${info.model}, ${parameters(info.parameters)} parameters`],
    ["Context", `${info.context} tokens`],
    ["Runs on", `${deviceName(info)}${info.tier ? ` (${info.tier})` : ""}`],
    ["Because", info.reason],
  ];
  const shown = rows.filter(([, value]) => value !== "");
  return h(
    "dl",
    { class: "facts" },
    ...shown.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value)]),
  );
}

function nextTheme(): void {
  const root = document.documentElement;
  const dark = root.dataset["theme"]
    ? root.dataset["theme"] === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset["theme"] = dark ? "light" : "dark";
  remember("theme", root.dataset["theme"]);
  dispatchEvent(new Event("themechange"));
}

function mark(): SVGSVGElement {
  const drawn = icon("learn");
  drawn.classList.add("mark");
  return drawn;
}
