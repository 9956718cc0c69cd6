/**
 * Where a model's bytes come from, once they are on this machine: an OPFS file or a picked file.
 *
 * It knows nothing of downloads. Invariant: `read` gives exactly the bytes asked for or throws;
 * a model is never a whole array in memory.
 */

import type { JsSource } from "../engine/contract";

/** What newer browsers take: several workers may read one model at once. */
interface Opening {
  createSyncAccessHandle(options: { mode: "read-only" }): Promise<FileSystemSyncAccessHandle>;
}

/** Reads through a sync access handle, which this source keeps open for the worker's life. */
export async function opfsSource(file: FileSystemFileHandle, name: string): Promise<JsSource> {
  const access = await (file as unknown as Opening).createSyncAccessHandle({ mode: "read-only" });
  const length = access.getSize();
  return {
    name,
    length,
    read(offset, size) {
      inside(name, offset, size, length);
      const bytes = new Uint8Array(size);
      const got = access.read(bytes, { at: offset });
      if (got !== size) throw new Error(`${name}: ${got} of ${size} bytes at ${offset}`);
      return bytes;
    },
  };
}

/** Reads slices of a picked file; nothing is copied, and it is gone after a reload. */
export function fileSource(file: File): JsSource {
  const reader = new FileReaderSync();
  return {
    name: file.name,
    length: file.size,
    read(offset, size) {
      inside(file.name, offset, size, file.size);
      return new Uint8Array(reader.readAsArrayBuffer(file.slice(offset, offset + size)));
    },
  };
}

function inside(name: string, offset: number, size: number, length: number): void {
  if (offset < 0 || size < 0 || offset + size > length) {
    throw new RangeError(`${name}: bytes ${offset}+${size} lie outside its ${length} bytes`);
  }
}
