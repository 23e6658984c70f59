// One conversation: the microphone, the line, and what is known of both. Views ask it and are told when it changes.

import { Asking } from "./asking.js";
import { Meter } from "./audio/level.js";
import { SpeechIn } from "./audio/speech-in.js";
import { Conversation } from "./model/conversation.js";
import { Problem, problemOf } from "./model/problems.js";
import { Timings } from "./model/timings.js";
import { isHandOver, ToolRuns } from "./model/tool-runs.js";
import { WayToEar } from "./model/way.js";
import { Later } from "./later.js";
import { comeBack } from "./line/come-back.js";
import { openLine } from "./line/open.js";

/** @typedef {import("./line/events.js").ServerEvent} ServerEvent */

/**
 * @typedef {"idle" | "connecting" | "ready" | "listening" | "thinking" | "speaking" | "interrupted" | "reconnecting"
 *   | "error"} Phase
 */

/** @typedef {import("./line/come-back.js").Way} Way */

/**
 * @typedef {"phase" | "captions" | "timings" | "problem" | "session" | "fleet" | "brain" | "input" | "agent" | "tool"
 *   | "kept"} Change
 */

/** @type {Record<string, import("./model/problems.js").Kind>} errors by which the server ends a session */
const ENDS = {
  session_expired: "expired",
  session_idle_timeout: "expired",
  server_error: "server",
  conversation_taken_over: "elsewhere",
};
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
    this.tools = new ToolRuns();
    /** @type {import("./model/tool-runs.js").ToolRun | null} the newest news of a tool */
    this.told = null;
    this.later = new Later(this);
    this.input = new SpeechIn(preferences, () => void this._microphoneLost());
    this.output = new Meter();
    /** @type {Phase} */
    this.phase = "idle";
    /** @type {Problem | null} */
    this.problem = null;
    /** @type {any} the effective session */
    this.session = null;
    /** @type {any} the newest news of the workers */
    this.fleet = null;
    this.brain = ""; // the language model that answered last
    this.recordUrl = "";
    this.voice = false; // it is wanted; else all is typed
    /** @type {import("./line/line.js").Line | null} */
    this.line = null;
    this.connected = false;
    this.asking = new Asking(this);
    /** @type {Problem | null} why the server ends it, where it has said so */
    this._end = null;
    this._wayToEar = new WayToEar();
    this._attempt = 0;
    /** @type {Way | null} back to the session, should the connection be lost */
    this._way = null;
    /** @type {keyof typeof PHASES} the state of the conversation */
    this._state = "idle";
  }

  get active() {
    return this.phase !== "idle" && this.phase !== "error";
  }

  /** @param {Change} change */
  changed(change) {
    this.dispatchEvent(new Event(change));
  }

  /** @param {Phase} phase */
  _enter(phase) {
    if (this.phase === phase) return;
    this.phase = phase;
    this.changed("phase");
  }

  /** @param {Problem | null} problem */
  tell(problem) {
    this.problem = problem;
    this.changed("problem");
  }

  /** Begins a conversation, or goes on with the one there was; by voice, or only typed. @param {{voice: boolean}} options */
  async start({ voice }) {
    const attempt = ++this._attempt;
    this.voice = voice;
    this.tell(null);
    this._end = null;
    this.input.forget();
    this._enter("connecting");
    try {
      // What is said from now on is kept until the line stands.
      const both = await Promise.allSettled([this._connect(attempt), voice ? this._openMicrophone() : null]);
      for (const one of both) if (one.status === "rejected") throw one.reason;
      if (attempt !== this._attempt) return;
      await this.line?.useTrack(this.input.track);
      if (this.phase === "connecting") this._enter("ready");
    } catch (error) {
      const problem = problemOf(error);
      if (problem.kind === "not-kept") this.later.forget(this.later.id);
      if (attempt === this._attempt) await this._fail(problem);
    }
  }

  async _openMicrophone() {
    await this.input.open();
    if (!this.active) await this.input.close();
    this.changed("input");
  }

  /** @param {number} attempt */
  async _connect(attempt) {
    const line = await openLine(this.server, this.preferences, this.later.id, {
      onEvent: (event) => this._receive(event),
      onLevel: (level) => this.output.take(level),
      onSound: (at) => {
        this._wayToEar.sounded(at);
        this._timeWay();
      },
      onClosed: (reason) => void this._closed(reason),
    });
    if (attempt !== this._attempt) return line.close(); // it was stopped meanwhile
    this.line = line;
    this.configure();
    this._standing();
  }

  /** The line stands: it gets what was said and written until now. */
  _standing() {
    this.connected = true;
    if (this.line !== null) this.input.goTo(this.line);
    this.asking.standing();
  }

  /** Has the session as the preferences want it, from this moment on. */
  configure() {
    this.update(this.preferences.session());
  }

  /** Changes settings of the session, at once. @param {object} session */
  update(session) {
    this.line?.send({ type: "session.update", session: { type: "realtime", ...session } });
  }

  /** @param {ServerEvent} event */
  _receive(event) {
    const asked = this.asking.take(event);
    switch (event.type) {
      case "session.created":
      case "session.updated":
        this.session = event.session;
        this.changed("session");
        break;
      case "antiphon.state":
        this._state = event.state;
        if (this.connected) this._enter(this._standingPhase);
        break;
      case "antiphon.conversation":
        if (event.items > 0) this.forgetWords(); // the server tells them again
        this.later.named(event.conversation_id);
        break;
      case "antiphon.brain":
        this.brain = event.model;
        this.changed("brain");
        break;
      case "antiphon.fleet":
        this.fleet = event;
        this.changed("fleet");
        break;
      case "antiphon.resumable":
        this._way = { token: event.token, waitsMs: event.waits_s * 1000 };
        break;
      case "antiphon.record":
        this.recordUrl = event.url;
        this.changed("session");
        break;
      case "error":
        if (asked) break;
        if (event.error.code !== null && event.error.code in ENDS) {
          this._end = new Problem(ENDS[event.error.code]);
        } else {
          console.warn(`the server: ${event.error.message}`);
        }
        break;
    }
    this._follow(event);
    if (this.conversation.take(event)) this.changed("captions");
    this._wayToEar.take(event, performance.now());
    if (this.timings.take(event)) {
      this._timeWay();
      this.changed("timings");
    }
  }

  /** What becomes of agents and tools, and of what is kept. @param {ServerEvent} event */
  _follow(event) {
    const now = performance.now();
    const ran = this.tools.take(event, now);
    if (event.type === "antiphon.agent") this.changed("agent");
    if (ran !== null) {
      this.told = ran;
      if (!Number.isNaN(ran.endedAt) && !isHandOver(ran.name)) {
        this.timings.ran(ran);
        this.changed("timings");
      }
      this.changed("tool");
      if (this.connected) this._enter(this._standingPhase);
    }
    if (event.type === "antiphon.clause" && this.timings.worded(now)) this.changed("timings");
    if (event.type === "response.done" || event.type === "conversation.item.input_audio_transcription.completed") {
      this.later.note();
    }
  }

  /** A tool that works in silence is thinking, too. @returns {Phase} */
  get _standingPhase() {
    const phase = PHASES[this._state];
    return phase === "ready" && this.tools.newest !== undefined ? "thinking" : phase;
  }

  forgetWords() {
    this.conversation = new Conversation();
    this.changed("captions");
  }

  forgetTimes() {
    this.timings = new Timings();
    this.changed("timings");
  }

  /** How long the way to the ear took, when it is known. */
  _timeWay() {
    const way = this._wayToEar.measured(this.line);
    if (way !== null && this.timings.heard(way.response, way.ms)) this.changed("timings");
  }

  /** @param {boolean} muted */
  mute(muted) {
    this.input.muted = muted;
    this.input.gate();
    this.changed("input");
  }

  /** Takes another microphone, or the one that is there again. */
  async changeMicrophone() {
    if (!this.active || !this.voice) return;
    try {
      await this.input.close();
      await this._openMicrophone();
      await this.line?.useTrack(this.input.track);
      if (this.problem?.words.typing) this.tell(null);
    } catch (error) {
      this.tell(problemOf(error));
      this.changed("input");
    }
  }

  /** The conversation goes on in writing, until there is a microphone again. */
  async _microphoneLost() {
    if (!this.active) return;
    await this.input.close();
    await this.line?.useTrack(null);
    this.input.falterToSilence();
    this.tell(new Problem("microphone-lost"));
    this.changed("input");
  }

  /** Devices were plugged in or out. */
  devicesChanged() {
    if (this.problem?.words.typing) void this.changeMicrophone();
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
    this._way = null;
    this.connected = false;
    this.asking.forget();
    this.input.holding = false;
    this.input.wait();
    await Promise.all([this.input.close(), line?.close()]);
    this.conversation.close();
    this.tools.close();
    this.changed("captions");
    this.changed("agent");
  }

  /** The line is gone. @param {string} reason */
  async _closed(reason) {
    if (!this.connected) return;
    if (this._end !== null) return this._fail(this._end);
    if (reason === "the server stops" || this._way === null) return this._fail(new Problem("lost", reason));
    return this._comeBack(this._way);
  }

  /** Takes the session up again, while it waits. What is said meanwhile is kept. @param {Way} way */
  async _comeBack(way) {
    const { line, server, _attempt: attempt } = this;
    const wanted = () => attempt === this._attempt;
    this.connected = false;
    this.input.wait();
    this._enter("reconnecting");
    let problem = null;
    try {
      const back = line !== null && (await comeBack(way, { server, line, wanted }));
      if (!back) problem = new Problem("lost");
    } catch (error) {
      problem = problemOf(error);
    }
    if (!wanted()) return;
    if (problem !== null) return this._fail(problem);
    this._standing();
    await this.line?.useTrack(this.input.track);
    this._enter(this._standingPhase);
  }
}
