// What the user says: the microphone, whether it is open, and what waits until there is a line that takes it.

import { Meter } from "./level.js";
import { Microphone } from "./microphone.js";

/** @typedef {import("../line/line.js").Line} Line */

const KEPT_PIECES = 500; // of 20 ms
const SILENCE_BYTES = 2 * 24000; // a second, in which any turn ends

export class SpeechIn {
  /** @param {import("../model/preferences.js").Preferences} preferences @param {() => void} onLost */
  constructor(preferences, onLost) {
    this.meter = new Meter();
    this.muted = false;
    this.holding = false; // the key of push-to-talk
    this._preferences = preferences;
    this._onLost = onLost;
    /** @type {Microphone | null} */
    this._microphone = null;
    /** @type {Line | null} */
    this._line = null;
    /** @type {{pcm: Uint8Array, at: number}[]} */
    this._kept = [];
  }

  get track() {
    return this._microphone?.track ?? null;
  }

  async open() {
    const { microphone: deviceId, echoCancellation } = this._preferences.all;
    const opened = await Microphone.open(
      { deviceId, echoCancellation },
      (piece) => this._take(piece),
      () => {
        if (opened === this._microphone) this._onLost();
      },
    );
    await this._microphone?.close(); // that of an attempt that was given up
    this._microphone = opened;
    this.gate();
  }

  async close() {
    const microphone = this._microphone;
    this._microphone = null;
    await microphone?.close();
  }

  /** A microphone that is closed gives silence, and the server's clock goes on. */
  gate() {
    if (this._microphone === null) return;
    this._microphone.track.enabled = this._preferences.all.pushToTalk ? this.holding : !this.muted;
  }

  /** The line gets what was said until now, and all that is said from now on. @param {Line} line */
  goTo(line) {
    this._line = line;
    for (const { pcm, at } of this._kept) line.hear(pcm, at);
    this._kept = [];
  }

  /** There is no microphone any more: what was being said ends here. */
  falterToSilence() {
    this._line?.hear(new Uint8Array(SILENCE_BYTES), performance.now());
  }

  /** There is no line: the newest of what is said is kept for the next. */
  wait() {
    this._line = null;
  }

  /** What was said before goes to nobody. */
  forget() {
    this._kept = [];
  }

  /** @param {import("./microphone.js").Piece} piece */
  _take({ pcm, level }) {
    this.meter.take(level);
    const at = performance.now();
    if (this._line !== null) {
      this._line.hear(pcm, at);
    } else {
      this._kept.push({ pcm, at });
      if (this._kept.length > KEPT_PIECES) this._kept.shift();
    }
  }
}
