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
const AROUND_MS = 150; // by which the news of a turn may come after its first sound
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
    this._speechEnd = { turn: "", ms: 0 }; // in the session's time
    this._soundAt = -Infinity;
    /** @type {{response: string, arrivedAt: number, endMs: number | undefined, firstSoundMs: number} | null} */
    this._timed = null;
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
      if (this.phase === "connecting") this._enter("ready");
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
    this._gate();
    if (!this.active) await this._closeMicrophone();
  }

  async _connect() {
    this.line = await openLine(this.server, this.preferences, {
      onEvent: (event) => this._receive(event),
      onLevel: (level) => this.output.take(level),
      onSound: (at) => this._sounded(at),
      onClosed: (code, reason) => void this._closed(code, reason),
    });
    this._connected = true;
    this.configure();
    for (const { pcm, at } of this._kept) this.line.hear(pcm, at);
    this._kept = [];
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
    this.input.take(level);
    const at = performance.now();
    if (this._connected && this.line !== null) {
      this.line.hear(pcm, at);
    } else {
      this._kept.push({ pcm, at });
      if (this._kept.length > KEPT_PIECES) this._kept.shift();
    }
  }

  /** A microphone that is closed gives silence, and the server's clock goes on. */
  _gate() {
    if (this.microphone === null) return;
    this.microphone.track.enabled = this.preferences.all.pushToTalk ? this.holding : !this.muted;
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
        this._speechEnd = { turn: event.item_id, ms: event.audio_end_ms };
        break;
      case "antiphon.turn":
        this._timed = {
          response: event.response_id,
          arrivedAt: performance.now(),
          endMs: this._speechEnd.turn === event.item_id ? this._speechEnd.ms : undefined,
          firstSoundMs: event.marks.first_sound ?? 0,
        };
        break;
      case "response.created":
        this._answering = event.response.id;
        break;
      case "response.done":
        if (event.response.id === this._answering) this._answering = "";
        break;
      case "error":
        console.warn(`the server: ${event.error.message}`);
        break;
    }
    if (this.conversation.take(event)) this._changed("captions");
    if (this.timings.take(event)) {
      this._time();
      this._changed("timings");
    }
  }

  /** The agent begins to sound. @param {number} at */
  _sounded(at) {
    this._soundAt = at;
    this._time();
  }

  /** How long the way to the ear took: known when both the news of a turn and its first sound are there. */
  _time() {
    const turn = this._timed;
    if (turn === null || this._soundAt < turn.arrivedAt - AROUND_MS) return;
    this._timed = null;
    const spokenAt = turn.endMs === undefined ? undefined : this.line?.capturedAt(turn.endMs);
    const wayMs =
      spokenAt === undefined
        ? this._soundAt - turn.arrivedAt + (this.line?.wayMs ?? 0)
        : this._soundAt - spokenAt - turn.firstSoundMs;
    if (this.timings.heard(turn.response, wayMs)) this._changed("timings");
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
    this._gate();
    this._changed("input");
  }

  /** Push-to-talk: the key goes down or up. @param {boolean} down */
  hold(down) {
    if (!this.preferences.all.pushToTalk || down === this.holding || !this._connected) return;
    this.holding = down;
    this._gate();
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
