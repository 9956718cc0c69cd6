/**
 * Hands a file to the person: the browser's own download, from memory.
 *
 * It knows nothing of what is saved. Invariant: nothing is sent anywhere, and no address outlives
 * its download.
 */

/** Browsers begin to read at once, yet not before this call ends. */
const KEPT_MS = 60_000;

export function saveFile(name: string, content: string | Blob): void {
  const blob =
    typeof content === "string" ? new Blob([content], { type: "text/markdown" }) : content;
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), KEPT_MS);
}
