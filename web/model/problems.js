// What can go wrong, in words that say what to do.

/**
 * @typedef {"insecure" | "refused" | "no-microphone" | "microphone-fails" | "microphone-lost" | "unreachable" | "full"
 *   | "key" | "origin" | "lost" | "ended" | "expired" | "server" | "not-kept" | "in-use" | "elsewhere"} Kind
 */

/**
 * @typedef {object} Words
 * @property {string} title
 * @property {string} advice
 * @property {boolean} [typing] one can still type
 */

/** @type {Record<Kind, Words>} */
const WORDS = {
  insecure: {
    title: "This address is not secure enough for a microphone",
    advice:
      "Browsers give a microphone only to https and to this computer itself. Start the server with --tls self-signed " +
      "and open the https address that it prints.",
    typing: true,
  },
  refused: {
    title: "The microphone was refused",
    advice: "Allow it for this page in the browser's address bar, then start again.",
    typing: true,
  },
  "no-microphone": {
    title: "There is no microphone",
    advice: "Plug one in, or choose another one in the settings.",
    typing: true,
  },
  "microphone-fails": {
    title: "The microphone cannot be used",
    advice: "Another program may be using it. Close that one, or choose another microphone in the settings.",
    typing: true,
  },
  "microphone-lost": {
    title: "The microphone is gone",
    advice: "It was unplugged or taken away. Plug it in again or choose another one in the settings.",
    typing: true,
  },
  unreachable: {
    title: "The server does not answer",
    advice: "Check that it runs and that this device is on its network.",
  },
  full: {
    title: "All places are taken",
    advice: "The server has as many conversations as it can hold. One will be free soon.",
  },
  key: { title: "The server asks for a key", advice: "Enter the key that it was started with." },
  origin: {
    title: "The server does not trust this address",
    advice: "Open the page by the address that the server printed, or start the server with --allow-origin.",
  },
  lost: {
    title: "The connection was lost",
    advice: "The server could not be reached again in time. What was said is still here; start again when it is back.",
  },
  ended: {
    title: "The conversation broke off",
    advice:
      "What carried it on the server has ended, and does not remember it. What was said is still here; start anew.",
  },
  "not-kept": {
    title: "The server has this conversation no longer",
    advice: "It was deleted, or nobody came back to it for too long. Press to begin another.",
  },
  "in-use": {
    title: "Another device is just going on with this conversation",
    advice: "Start again to take it over.",
  },
  elsewhere: {
    title: "The conversation goes on elsewhere",
    advice: "Another tab or device has taken it over. Start again to take it back.",
  },
  expired: { title: "The conversation is over", advice: "It was as long, or as quiet, as the server allows." },
  server: { title: "The server failed", advice: "Its log says why. A new conversation may go well." },
};

/** Something that a person has to know. */
export class Problem extends Error {
  /** @param {Kind} kind @param {string} [detail] */
  constructor(kind, detail = "") {
    super(WORDS[kind].title);
    this.name = "Problem";
    this.kind = kind;
    this.detail = detail;
  }

  get words() {
    return WORDS[this.kind];
  }
}

/** Whatever was thrown, as a Problem. @param {unknown} error */
export function problemOf(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem("server", String(error));
}
