/**
 * Files in the origin private file system: a folder, and a write that is whole or not there.
 *
 * It knows nothing of models or adapters. Invariant: a file under its final name is complete;
 * what a crash cuts short keeps the ending `.part`.
 */

export async function folder(name: string): Promise<FileSystemDirectoryHandle> {
  const root = await navigator.storage.getDirectory();
  return root.getDirectoryHandle(name, { create: true });
}

/** Writes a whole file: to `name.part`, flushed, closed, and then moved onto `name`. */
export async function writeFile(
  directory: string,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const parent = await folder(directory);
  const part = await parent.getFileHandle(`${name}.part`, { create: true });
  const access = await part.createSyncAccessHandle();
  try {
    access.truncate(0);
    writeAll(access, bytes, 0);
    access.flush();
  } finally {
    access.close();
  }
  await rename(part, parent, name);
}

/** Writes all bytes, since one `write` may take fewer. */
export function writeAll(
  access: FileSystemSyncAccessHandle,
  bytes: Uint8Array<ArrayBuffer>,
  at: number,
): void {
  let done = 0;
  while (done < bytes.length) {
    const written = access.write(bytes.subarray(done), { at: at + done });
    if (written === 0) throw new Error("the browser's storage for this page is full");
    done += written;
  }
}

/** Gives a closed file another name in its folder, replacing a file of that name. */
export async function rename(
  file: FileSystemFileHandle,
  parent: FileSystemDirectoryHandle,
  name: string,
): Promise<void> {
  // `move` is in every engine that has sync access handles, yet not in TypeScript's types.
  await (
    file as unknown as { move(parent: FileSystemDirectoryHandle, name: string): Promise<void> }
  ).move(parent, name);
}
