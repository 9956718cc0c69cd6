/**
 * Files with their paths, from a picked or dropped folder as from single files.
 *
 * It knows nothing of lessons. Invariant: of a folder only texts and code are taken, and nothing of what tools put there: what
 * begins with a dot, `node_modules`, `target`.
 */

/** A file and where it lay, as far as a person showed. */
export interface Placed {
  file: File;
  path: string;
}

/** Endings of what is read as a document, as in `apprentice teach --file FOLDER`. */
const ENDINGS: ReadonlySet<string> = new Set([
  ...["md", "txt", "jsonl", "html", "css", "sql", "toml", "yaml", "yml", "sh"],
  ...["rs", "py", "js", "ts", "tsx", "jsx", "c", "h", "cpp", "hpp", "go", "java", "kt", "rb"],
  ...["wgsl", "lua", "swift", "cs", "scala"],
]);
const FILES_MAX = 2_000;

/** Files as an input gave them: those of a folder are chosen among, single ones were chosen by a person. */
export function placed(files: File[]): Placed[] {
  const all = files.map((file) => ({ file, path: file.webkitRelativePath || file.name }));
  return all.filter(({ file, path }) => !file.webkitRelativePath || isWanted(path, file.size));
}

/** What was dropped. The items must be read before anything is waited for. */
export async function dropped(items: DataTransferItemList): Promise<Placed[]> {
  const entries = [...items].map((item) => item.webkitGetAsEntry());
  const found: Placed[] = [];
  for (const entry of entries) {
    if (entry?.isFile) found.push({ file: await fileOf(entry), path: entry.name });
    else if (entry) await walk(entry as FileSystemDirectoryEntry, entry.name, found);
  }
  return found;
}

async function walk(
  folder: FileSystemDirectoryEntry,
  path: string,
  found: Placed[],
): Promise<void> {
  for (const entry of await entriesOf(folder)) {
    const place = `${path}/${entry.name}`;
    if (isHidden(entry.name)) continue;
    if (entry.isDirectory) await walk(entry as FileSystemDirectoryEntry, place, found);
    else if (isText(entry.name)) {
      const file = await fileOf(entry);
      if (file.size > 0) found.push({ file, path: place });
    }
    if (found.length > FILES_MAX) throw new Error(`${path} has more than ${FILES_MAX} files`);
  }
}

/** All entries: a reader gives them in parts, and ends with none. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (part.length === 0) return all.sort((a, b) => (a.name < b.name ? -1 : 1));
    all.push(...part);
  }
}

function fileOf(entry: FileSystemEntry): Promise<File> {
  return new Promise((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
}

function isWanted(path: string, bytes: number): boolean {
  const names = path.split("/");
  return bytes > 0 && !names.slice(1).some(isHidden) && isText(names.at(-1) ?? "");
}

function isHidden(name: string): boolean {
  return name.startsWith(".") || name === "node_modules" || name === "target";
}

function isText(name: string): boolean {
  return ENDINGS.has(name.split(".").at(-1) ?? "");
}
