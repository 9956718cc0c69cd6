/**
 * Elements in one call, and the icons.
 *
 * It knows nothing of the app. Invariant: text only ever enters as text; the one way in for
 * markup is `markdown.ts`, which sanitizes.
 */

type Child = Node | string | null | false;

interface Props {
  [attribute: string]: string | number | boolean | EventListener | undefined;
}

/** `h("button", { class: "quiet", onclick: f, "aria-label": "Stop" }, icon("stop"))` */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** Paths in a box of 20 × 20, drawn as lines. */
const ICONS = {
  send: "M10 16V4M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  check: "M4.5 10.5l3.5 3.5 7.5-8",
  pencil: "M4 16l.8-3.4L13 4.4a1.7 1.7 0 0 1 2.6 2.6l-8.2 8.2L4 16zM11.5 6l2.5 2.5",
  plus: "M10 4.5v11M4.5 10h11",
  trash: "M4 6h12M8 6V4.3h4V6M5.5 6l.7 10h7.6l.7-10M8.5 9v4.5M11.5 9v4.5",
  file: "M5.5 3.5h6l3 3v10h-9zM11.5 3.5v3h3M8 10.5h4M8 13h4",
  chip: "M6 6h8v8H6zM8 3.5V6M12 3.5V6M8 14v2.5M12 14v2.5M3.5 8H6M3.5 12H6M14 8h2.5M14 12h2.5",
  theme: "M10 3.5a6.5 6.5 0 1 0 0 13zM10 3.5a6.5 6.5 0 0 1 0 13",
  back: "M7.5 4.5L4 8l3.5 3.5M4 8h7.5a4 4 0 0 1 0 8H8",
  chat: "M4 5h12v8.5H9.5L6 16.5v-3H4z",
  learn: "M3.5 14.5l4-5 3 2.5 6-7M12.5 5h4v4",
  versions: "M6 4.5v11M6 13c0-4 8-2 8-6.5M6 4.5h0M14 6.5h0M6 15.5h0",
  data: "M4 5.5h12M4 10h12M4 14.5h8",
  close: "M5.5 5.5l9 9M14.5 5.5l-9 9",
  down: "M6 8l4 4 4-4",
  copy: "M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3",
  again: "M15.5 10a5.5 5.5 0 1 1-1.8-4.1M15.5 3.5v3.2h-3.2",
  columns: "M4 4.5h5v11H4zM11 4.5h5v11h-5z",
  list: "M4 5.5h1M8 5.5h8M4 10h1M8 10h8M4 14.5h1M8 14.5h8",
  sliders: "M4 6h6M14 6h2M4 14h2M10 14h6M12 4v4M8 12v4",
  help: "M7.5 7.7a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.8M10 14.6v.2",
  save: "M10 4v8M6.5 9l3.5 3.5L13.5 9M4.5 16h11",
  open: "M10 12.5v-8M6.5 8L10 4.5 13.5 8M4.5 16h11",
} as const;

export type IconName = keyof typeof ICONS;

export function icon(name: IconName): SVGSVGElement {
  const namespace = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(namespace, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(namespace, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** What a file input gave; with `folder` all files of one. */
export function pickFiles(options: {
  accept: string;
  multiple: boolean;
  folder?: boolean;
}): Promise<File[]> {
  return new Promise((resolve) => {
    const input = h("input", {
      type: "file",
      accept: options.accept,
      multiple: options.multiple,
      webkitdirectory: options.folder ?? false,
      hidden: true,
    });
    const finish = () => {
      resolve([...(input.files ?? [])]);
      input.remove();
    };
    input.addEventListener("change", finish);
    input.addEventListener("cancel", finish);
    document.body.append(input);
    input.click();
  });
}
