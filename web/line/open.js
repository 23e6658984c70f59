// Which line a conversation goes over.

import { Problem } from "../model/problems.js";
import { SocketLine } from "./socket-line.js";

const QUERY = { pacing: "realtime", events: "antiphon", record: "1" };

/**
 * Opens a line. Raises a Problem that says why there is none.
 * @param {import("../server.js").Server} server
 * @param {import("../model/preferences.js").Preferences} preferences
 * @param {Omit<import("./line.js").LineOptions, "secret" | "query" | "speaker">} told
 * @returns {Promise<import("./line.js").Line>}
 */
export async function openLine(server, preferences, told) {
  await server.check();
  const secret = await server.secret();
  const options = { ...told, secret, query: String(new URLSearchParams(QUERY)), speaker: preferences.all.speaker };
  const line = new SocketLine(options);
  try {
    await line.open();
    return line;
  } catch (error) {
    await line.close();
    await server.check(); // which knows better why
    throw error instanceof Problem ? error : new Problem("unreachable", String(error));
  }
}
