/**
 * The page's one Trusted Types policy: which scripts may be started.
 *
 * It knows no markup: that is the sanitizer's own policy. Invariant: only scripts of this page's
 * folder get through, whatever the caller says.
 */

interface Policy {
  createScriptURL(address: string): string;
}

interface Factory {
  createPolicy(name: string, rules: Policy): Policy;
}

const folder = new URL(".", location.href).href;

const rules: Policy = {
  createScriptURL(address) {
    const url = new URL(address, location.href);
    if (!url.href.startsWith(folder)) throw new TypeError(`${url.href} is not this page's script`);
    return url.href;
  },
};

const { trustedTypes } = globalThis as { trustedTypes?: Factory };
const policy = trustedTypes?.createPolicy("apprentice", rules) ?? rules;

/** An address that a worker may be started from. */
export function ownScript(address: string): string {
  return policy.createScriptURL(address);
}
