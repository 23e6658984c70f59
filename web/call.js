// One conversation: the microphone, the line, and what is known of both. Views ask it and are told when it changes.

import { Meter } from "./audio/level.js";
import { Microphone } from "./audio/microphone.js";
import { Conversation } from "./model/conversation.js";
import { Problem, problemOf } from "./model/problems.js";
import { Timings } from "./model/timings.js";
import { openLine } from "./line/open.js";

/** @typedef {import("./line/events.js").ServerEvent} ServerEvent */

/**
 * @typedef {"idle" | "connecting" | "ready" | "listening" | "thinking" | "speaking" | "interrupted" | "reconnecting"
 *   | "error"} Phase
 */

/** @typedef {"phase" | "captions" | "timings" | "problem" | "session" | "fleet" | "input"} Change */

const KEPT_PIECES = 500; // of 20 ms: what is said while the connection is made
const PHASES = /** @type {const} */ ({
  idle: "ready",
  listening: "listening",
  thinking: "thinking",
  speaking: "speaking",
  barged_in: "interrupted",
});

/** @extends {EventTarget} */
export class Call extends EventTarget {
  /** @param {import("./server.js").Server} server @param {import("./model/preferences.js").Preferences} preferences */
  constructor(server, preferences) {
    super();
    this.server = server;
    this.preferences = preferences;
    this.conversation = new Conversation();
    this.timings = new Timings();
    this.input = new Meter();
    this.output = new Meter();
    /** @type {Phase} */
    this.phase = "idle";
    /** @type {Problem | null} */
    this.problem = null;
    /** @type {any} the effective session */
    this.session = null;
    /** @type {any} the newest news of the workers */
    this.fleet = null;
    this.recordUrl = "";
    this.muted = false;
    this.holding = false;
    /** @type {import("./line/line.js").Line | null} */
    this.line = null;
    /** @type {Microphone | null} */
    this.microphone = null;
    this._connected = false;
    /** @type {{pcm: Uint8Array, at: number}[]} */
    this._kept = [];
    this._answering = "";
    /** @type {Map<string, number>} when the user's turns ended, as this page took them in */
    this._speechEnds = new Map();
    this._lastTurn = "";
    this._attempt = 0;
  }

  get active() {
    return this.phase !== "idle" && this.phase !== "error";
  }

  /** @param {Change} change */
  _changed(change) {
    this.dispatchEvent(new Event(change));
  }

  /** @param {Phase} phase */
  _enter(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this._changed("phase");
  }

  /** @param {Problem | null} problem */
  tell(problem) {
    this.problem = problem;
    this._changed("problem");
  }

  /** Begins a conversation; by voice, or only typed. @param {{voice: boolean}} options */
  async start({ voice }) {
    const attempt = ++this._attempt;
    this.tell(null);
    this._kept = [];
    this._enter("connecting");
    try {
      // What is said from now on is kept until the line stands.
      await Promise.all([voice ? this._openMicrophone() : null, this._connect()]);
      if (attempt !== this._attempt) return;
      await this.line?.useTrack(this.microphone?.track ?? null);
    } catch (error) {
      if (attempt === this._attempt) await this._fail(problemOf(error));
    }
  }

  async _openMicrophone() {
    const { microphone: deviceId, echoCancellation } = this.preferences.all;
    this.microphone = await Microphone.open(
      { deviceId, echoCancellation },
      (piece) => this._take(piece),
      () => void this._fail(new Problem("microphone-lost")),
    );
    if (!this.active) await this._closeMicrophone();
  }

  async _connect() {
    this.line = await openLine(this.server, this.preferences, {
      onEvent: (event) => this._receive(event),
      onLevel: (level) => this.output.take(level),
      onHeard: (reply, at) => this._heardFirst(reply, at),
      onClosed: (code, reason) => void this._closed(code, reason),
    });
    this._connected = true;
    this.configure();
    for (const { pcm, at } of this._kept) this.line.hear(pcm, at);
    this._kept = [];
    this._enter("ready");
  }

  /** Has the session as the preferences want it, from this moment on. */
  configure() {
    this.update(this.preferences.session());
  }

  /** Changes settings of the session, at once. @param {object} session */
  update(session) {
    this.line?.send({ type: "session.update", session: { type: "realtime", ...session } });
  }

  /** @param {import("./audio/microphone.js").Piece} piece */
  _take({ pcm, level }) {
    const silent = this.muted && !this.preferences.all.pushToTalk;
    if (this.preferences.all.pushToTalk && !this.holding) return;
    this.input.take(silent ? 0 : level);
    if (silent) pcm.fill(0);
    const at = performance.now();
    if (this._connected && this.line !== null) {
      this.line.hear(pcm, at);
    } else {
      this._kept.push({ pcm, at });
      if (this._kept.length > KEPT_PIECES) this._kept.shift();
    }
  }

  /** @param {ServerEvent} event */
  _receive(event) {
    switch (event.type) {
      case "session.created":
      case "session.updated":
        this.session = event.session;
        this._changed("session");
        break;
      case "antiphon.state":
        if (this._connected) this._enter(PHASES[event.state]);
        break;
      case "antiphon.fleet":
        this.fleet = event;
        this._changed("fleet");
        break;
      case "antiphon.record":
        this.recordUrl = event.url;
        this._changed("session");
        break;
      case "input_audio_buffer.speech_stopped":
        this._speechEnded(event);
        break;
      case "response.created":
        this._answering = event.response.id;
        this._lastTurn = [...this._speechEnds.keys()].at(-1) ?? "";
        break;
      case "response.done":
        if (event.response.id === this._answering) this._answering = "";
        break;
      case "error":
        console.warn(`the server: ${event.error.message}`);
        break;
    }
    if (this.conversation.take(event)) this._changed("captions");
    if (this.timings.take(event)) this._changed("timings");
  }

  /** @param {ServerEvent & {type: "input_audio_buffer.speech_stopped"}} event */
  _speechEnded({ item_id: turn, audio_end_ms: endMs }) {
    const at = this.line?.capturedAt(endMs);
    if (at !== undefined) this._speechEnds.set(turn, at);
  }

  /** @param {string} reply @param {number} at */
  _heardFirst(reply, at) {
    const ended = this._speechEnds.get(this._lastTurn);
    if (ended === undefined || reply !== this._answering) return;
    this._speechEnds.clear();
    if (this.timings.heard(reply, at - ended)) this._changed("timings");
  }

  /** Says something in writing, and has it answered. @param {string} text */
  write(text) {
    if (this._answering !== "") this.line?.send({ type: "response.cancel" });
    const content = [{ type: "input_text", text }];
    this.line?.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    this.line?.send({ type: "response.create" });
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    this._changed("input");
  }

  /** Push-to-talk: the key goes down or up. @param {boolean} down */
  hold(down) {
    if (!this.preferences.all.pushToTalk || down === this.holding || !this._connected) return;
    this.holding = down;
    if (down) {
      if (this._answering !== "") this.line?.send({ type: "response.cancel" });
      this.line?.send({ type: "input_audio_buffer.clear" });
    } else {
      this.line?.send({ type: "input_audio_buffer.commit" });
      this.line?.send({ type: "response.create" });
    }
    this._changed("input");
  }

  /** Takes another microphone. */
  async changeMicrophone() {
    if (!this.active || this.microphone === null) return;
    try {
      await this._closeMicrophone();
      await this._openMicrophone();
      await this.line?.useTrack(this.microphone?.track ?? null);
    } catch (error) {
      this.tell(problemOf(error));
    }
  }

  /** Ends the conversation; what was said stays. */
  async stop() {
    this._attempt++;
    this._enter("idle");
    await this._leave();
  }

  /** @param {Problem} problem */
  async _fail(problem) {
    this.tell(problem);
    this._enter("error");
    await this._leave();
  }

  async _leave() {
    const line = this.line;
    this.line = null;
    this._connected = false;
    this._answering = "";
    this.holding = false;
    await Promise.all([this._closeMicrophone(), line?.close()]);
    this.conversation.close();
    this._changed("captions");
  }

  async _closeMicrophone() {
    const microphone = this.microphone;
    this.microphone = null;
    await microphone?.close();
  }

  /** @param {number} code @param {string} reason */
  async _closed(code, reason) {
    if (!this._connected) return;
    const expired = reason === "session expired" || reason === "idle";
    await this._fail(new Problem(expired ? "expired" : code === 1011 ? "server" : "lost", reason));
  }
}
