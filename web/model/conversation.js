// Who said what, how much of it was heard, and what was cut off. Told by the server's events; knows no screen.

import { isHandOver } from "./tool-runs.js";

/** @typedef {import("../line/events.js").ServerEvent} ServerEvent */

/**
 * @typedef {object} Entry
 * @property {string} id of the item, or of the response while the item is not known
 * @property {"user" | "agent" | "mind" | "tool" | "change"} role mind is what the agent thinks and does not say; a change
 *   is that of the agent
 * @property {string} speaker a name, where it is known
 * @property {{speaker: string, text: string}[]} parts the user's words by who said them, where several did
 * @property {boolean} typed
 * @property {string} certain of the user's words what will not change; of the agent's what was heard
 * @property {string} coming the agent's words that are prepared, and not heard yet
 * @property {boolean} open more may come
 * @property {boolean} cut what was coming was never heard
 * @property {string} failure why there is no more of it
 * @property {string} agent whose words they are, or who answers from here on, where the server has agents
 * @property {import("./tool-runs.js").Status | ""} status of a tool
 */

export class Conversation {
  constructor() {
    /** @type {Entry[]} in the order in which they began */
    this.entries = [];
    /** @type {Map<string, Entry>} the open answers, by response */
    this._answers = new Map();
    this._thoughts = 0;
    this._changes = 0;
    this._agent = "";
    this._before = 0; // items of a conversation that goes on, which are still to be told
  }

  /**
   * Takes an event; returns whether anything is shown differently.
   * @param {ServerEvent} event
   */
  take(event) {
    switch (event.type) {
      case "input_audio_buffer.speech_started":
      case "input_audio_buffer.committed":
        this._heard(event.item_id);
        return true;
      case "conversation.item.input_audio_transcription.delta":
        this._heard(event.item_id).certain += event.delta;
        return true;
      case "antiphon.speaker":
        this._heard(event.item_id).speaker = event.speaker;
        return true;
      case "conversation.item.input_audio_transcription.segment":
        this._segment(this._heard(event.item_id), event);
        return true;
      case "conversation.item.input_audio_transcription.completed":
        this._transcribed(event.item_id, event.transcript);
        return true;
      case "conversation.item.input_audio_transcription.failed":
        this._transcribed(event.item_id, "");
        return true;
      case "antiphon.conversation":
        this._before = event.items;
        return false;
      case "conversation.item.added":
        return this._before === 0 && this._added(event.item);
      case "conversation.item.done":
        return this._before > 0 && this._saidBefore(event.item);
      case "antiphon.agent":
        return this._changesTo(event.agent);
      case "antiphon.tool":
        return this._tool(event);
      case "antiphon.voice":
        this._answer(event.response_id).speaker = event.voice;
        return true;
      case "antiphon.thought":
        this._thinks(event.text);
        return true;
      case "antiphon.clause":
        this._answer(event.response_id).coming += event.text;
        return true;
      case "response.output_audio_transcript.delta":
      case "response.output_text.delta":
        this._said(this._answer(event.response_id), event.delta);
        return true;
      case "response.done":
        return this._done(event.response);
      default:
        return false;
    }
  }

  /** The line is closed: nothing more comes. */
  close() {
    for (const entry of this.entries) {
      if (entry.status === "running") entry.status = "cancelled";
      entry.cut ||= entry.open && entry.coming !== "";
      entry.open = false;
    }
    this._answers.clear();
    this._sweep();
  }

  /** @param {string} id */
  _find(id) {
    return this.entries.find((entry) => entry.id === id);
  }

  /** @param {Pick<Entry, "id" | "role"> & Partial<Entry>} about */
  _begin(about) {
    const said = {
      certain: "",
      coming: "",
      open: true,
      cut: false,
      failure: "",
      agent: "",
      status: /** @type {""} */ (""),
    };
    const entry = { speaker: "", parts: [], typed: false, ...said, ...about };
    this.entries.push(entry);
    return entry;
  }

  /** A thought goes on until something else is said. @param {string} text */
  _thinks(text) {
    const last = this.entries.at(-1);
    const entry =
      last?.role === "mind" ? last : this._begin({ id: `thought-${++this._thoughts}`, role: "mind", open: false });
    entry.certain += text;
  }

  /** A turn of the user's. @param {string} id */
  _heard(id) {
    return this._find(id) ?? this._begin({ id, role: "user" });
  }

  /** What one of several said, or all of it. @param {Entry} entry @param {{speaker: string, text: string}} segment */
  _segment(entry, { speaker, text }) {
    entry.parts = [...entry.parts, { speaker, text }];
    entry.speaker = [...new Set(entry.parts.map((part) => part.speaker))].join(", ");
  }

  /** @param {string} id @param {string} transcript */
  _transcribed(id, transcript) {
    const entry = this._heard(id);
    entry.certain = transcript.trim();
    entry.open = false;
    this._sweep();
  }

  /** @param {any} item */
  _added(item) {
    if (item.type !== "message" || item.role !== "user" || this._find(item.id)) return false;
    const text = item.content.map((/** @type {any} */ part) => part.text ?? "").join("");
    if (text === "") return false;
    this._begin({ id: item.id, role: "user", typed: true, certain: text, open: false });
    return true;
  }

  /** An item of a conversation that goes on. @param {any} item */
  _saidBefore(item) {
    this._before--;
    if (item.type === "function_call") {
      if (isHandOver(item.name)) return false;
      this._begin({ id: item.call_id, role: "tool", certain: item.name, status: "completed", open: false });
      return true;
    }
    if (item.type === "function_call_output") {
      const entry = this._find(item.call_id);
      if (entry !== undefined) entry.status = statusOf(item.output);
      return entry !== undefined;
    }
    if (item.type !== "message") return false;
    const certain = item.content
      .map((/** @type {any} */ part) => part.transcript ?? part.text ?? "")
      .join("")
      .trim();
    if (certain === "") return false;
    this._begin({ id: item.id, role: item.role === "assistant" ? "agent" : "user", typed: true, certain, open: false });
    return true;
  }

  /** @param {string} agent */
  _changesTo(agent) {
    const before = this._agent;
    this._agent = agent;
    if (before === "" || before === agent) return false;
    this._begin({ id: `change-${++this._changes}`, role: "change", agent, certain: agent, open: false });
    return true;
  }

  /** @param {ServerEvent & {type: "antiphon.tool"}} event */
  _tool({ call_id: id, name, status, text = "" }) {
    if (isHandOver(name) && status !== "failed") return false;
    const entry = this._find(id) ?? this._begin({ id, role: "tool", certain: name });
    entry.open = status === "running" || status === "progress";
    entry.status = status === "progress" ? "running" : status;
    entry.coming = status === "progress" ? text : "";
    entry.failure = status === "failed" ? text : "";
    return true;
  }

  /** @param {string} response */
  _answer(response) {
    let entry = this._answers.get(response);
    if (entry === undefined) {
      entry = this._begin({ id: response, role: "agent", agent: this._agent });
      this._answers.set(response, entry);
    }
    return entry;
  }

  /** @param {Entry} entry @param {string} words */
  _said(entry, words) {
    entry.certain += words;
    entry.coming = entry.coming.startsWith(words) ? entry.coming.slice(words.length) : "";
  }

  /** @param {any} response */
  _done(response) {
    const entry =
      this._answers.get(response.id) ?? (response.status === "failed" ? this._answer(response.id) : undefined);
    if (entry === undefined) return false;
    this._answers.delete(response.id);
    entry.open = false;
    entry.cut = response.status === "cancelled";
    if (response.status === "failed") entry.failure = response.status_details?.error?.message ?? "The answer failed.";
    if (!entry.cut && entry.failure === "") {
      entry.certain += entry.coming;
      entry.coming = "";
    }
    this._sweep();
    return true;
  }

  /** A sound without words, and an answer of which nothing was told, leave nothing behind. */
  _sweep() {
    this.entries = this.entries.filter(
      ({ certain, coming, open, failure }) => open || (certain + coming).trim() !== "" || failure !== "",
    );
  }
}

/** What became of a tool, by what its model was told. @param {string} output @returns {Entry["status"]} */
function statusOf(output) {
  try {
    const told = JSON.parse(output);
    return told?.error !== undefined ? "failed" : told?.cancelled !== undefined ? "cancelled" : "completed";
  } catch {
    return "completed"; // a text
  }
}
