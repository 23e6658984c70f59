// The way back to a session whose connection was lost.

import { Problem } from "../model/problems.js";

/** @typedef {{token: string, waitsMs: number}} Way as the server told it */

const AGAIN_MS = 1000;

/**
 * Tries until the session is there again, is known to be over, or nobody wants it any more; returns whether it is there.
 * Raises a Problem when the server knows what became of it, or knows it no longer, as after its own end.
 * @param {Way} way
 * @param {{server: import("../server.js").Server, line: import("./line.js").Line, wanted: () => boolean}} parts
 */
export async function comeBack({ token, waitsMs }, { server, line, wanted }) {
  for (const end = performance.now() + waitsMs; performance.now() < end && wanted();) {
    try {
      await server.health();
    } catch {
      await pause(AGAIN_MS); // the network is gone, or the server is
      continue;
    }
    try {
      await line.resume(token);
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw new Problem("ended", String(error)); // it knows no such session
      if (error.kind !== "full" && error.kind !== "unreachable") throw error;
      await pause(AGAIN_MS);
    }
  }
  return false;
}

/** Resolves after a while, or as soon as the device says that it has a network again. @param {number} ms */
function pause(ms) {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
    window.addEventListener("online", resolve, { once: true });
  });
}
