// Which line a conversation goes over: WebRTC, and a WebSocket where that finds no way.

import { Problem } from "../model/problems.js";
import { RtcLine } from "./rtc-line.js";
import { SocketLine } from "./socket-line.js";

/** @typedef {import("./line.js").Line} Line */
/** @typedef {Omit<import("./line.js").LineOptions, "secret" | "query" | "speaker">} Told */

const QUERY = { events: "antiphon", record: "1", resumable: "1" };
const BLOCKED = "antiphon.webrtc-blocked"; // in this tab it found no way before

/**
 * Opens a line, to the conversation of that id where one is given. Raises a Problem that says why there is none.
 * @param {import("../server.js").Server} server
 * @param {import("../model/preferences.js").Preferences} preferences
 * @param {string} conversation
 * @param {Told} told
 * @returns {Promise<Line>}
 */
export async function openLine(server, preferences, conversation, told) {
  await server.check();
  if (conversation !== "") await server.json(`/v1/antiphon/conversations/${encodeURIComponent(conversation)}`);
  const wanted = conversation === "" ? QUERY : { ...QUERY, conversation };
  const secret = await server.secret();
  const options = { ...told, secret, speaker: preferences.all.speaker };
  if (mayUseRtc()) {
    const query = String(new URLSearchParams(wanted));
    const line = new RtcLine({ ...options, query, post: (path, sdp) => server.offer(path, sdp) });
    try {
      return await opened(line);
    } catch (error) {
      if (error instanceof Problem) throw error;
      console.info("WebRTC found no way to the server; a WebSocket takes its place:", error);
      sessionStorage.setItem(BLOCKED, "1");
    }
  }
  const query = String(new URLSearchParams({ ...wanted, pacing: "realtime" }));
  try {
    return await opened(new SocketLine({ ...options, query }));
  } catch (error) {
    await server.check(); // which knows better why
    throw error instanceof Problem ? error : new Problem("unreachable", String(error));
  }
}

/** ``?transport=websocket`` asks for a WebSocket. */
function mayUseRtc() {
  const wanted = new URLSearchParams(location.search).get("transport");
  return wanted !== "websocket" && "RTCPeerConnection" in window && sessionStorage.getItem(BLOCKED) === null;
}

/** @template {Line} T @param {T} line */
async function opened(line) {
  try {
    await line.open();
    return line;
  } catch (error) {
    await line.close();
    throw error;
  }
}
