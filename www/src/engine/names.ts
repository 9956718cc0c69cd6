/**
 * What a home calls its own: its database, its folder, its lock, its channel.
 *
 * It knows nothing of what they hold. Invariant: two homes share no name, and the page's own home has the plain ones.
 */

/** The lock that the worker which has a home holds for its life. */
export const ENGINE_LOCK = "apprentice-engine";

/** A home's own name for something; the page's has an empty name. */
export function ofHome(what: string, home: string): string {
  return home === "" ? what : `${what}-${safe(home)}`;
}

/** A name that may be one of a file or of a home. */
export function safe(name: string): string {
  if (/^[0-9A-Za-z_-]{1,128}$/.test(name)) return name;
  throw new Error(`"${name}" is no name for a file or a home`);
}
