/**
 * Ways out that no header closes: a page that goes elsewhere, and connections between browsers.
 *
 * It knows nothing of the page. Invariant: the page leaves its own origin only where a person
 * followed a link, and no script of it can open a connection that the policy does not see.
 */

interface NavigateEvent extends Event {
  destination: { url: string };
  userInitiated: boolean;
}

export function closeOtherWays(): void {
  const { navigation } = globalThis as { navigation?: EventTarget };
  navigation?.addEventListener("navigate", (event) => {
    const { destination, userInitiated } = event as NavigateEvent;
    const leaves = new URL(destination.url).origin !== location.origin;
    if (leaves && !userInitiated) event.preventDefault();
  });
  // `connect-src` does not rule WebRTC, and no browser knows a directive that does.
  for (const name of ["RTCPeerConnection", "webkitRTCPeerConnection"]) {
    if (name in globalThis) Reflect.deleteProperty(globalThis, name);
  }
}
