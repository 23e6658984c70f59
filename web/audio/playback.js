// What is played of the audio that came: pure, so that it can be tried without a sound card.

/**
 * @typedef {{kind: "push", reply: string, pcm: ArrayBuffer}
 *   | {kind: "hold"} | {kind: "release"} | {kind: "end", reply: string} | {kind: "drop"}} Order
 */

const FADE_S = 0.005; // so short that nothing is heard but the click that it spares
const FIRST_WAIT_S = 0.04; // two frames of the server wait before the first is played
const MORE_WAIT_S = 0.02; // and one more after each time that the next one was late
const LONGEST_WAIT_S = 0.2;
const AUDIBLE = 200 / 32768;

/** The audio of one reply at a time: a newer reply's audio follows the older one's. */
export class Playback {
  /** @param {number} rateHz */
  constructor(rateHz) {
    this._rateHz = rateHz;
    this._fade = Math.round(FADE_S * rateHz);
    this._waitS = FIRST_WAIT_S;
    /** @type {{reply: string, samples: Float32Array}[]} */
    this._pieces = [];
    this._offset = 0;
    this._held = false;
    this._running = false; // false while the first frames gather
    this._ended = false;
    this._gain = 0;
    this._began = false;
    /** The reply that plays, or played last. */
    this.reply = "";
    /** How many of its samples were played. */
    this.played = 0;
    /** The loudness of what was played last, 0 to 1. */
    this.level = 0;
    /** Samples that came and were not played. */
    this.waiting = 0;
  }

  /** @param {Order} order */
  obey(order) {
    switch (order.kind) {
      case "push":
        this._push(order.reply, order.pcm);
        break;
      case "hold":
        this._held = true;
        break;
      case "release":
        this._held = false;
        break;
      case "end":
        this._ended = this._ended || this._newest() === order.reply;
        break;
      case "drop":
        this._pieces = [];
        this._offset = 0;
        this.waiting = 0;
        this._held = false;
        this._running = false;
        this._gain = 0;
    }
  }

  _newest() {
    return this._pieces.at(-1)?.reply ?? this.reply;
  }

  /** @param {string} reply @param {ArrayBuffer} pcm mono s16 */
  _push(reply, pcm) {
    const samples = Float32Array.from(new Int16Array(pcm), (value) => value / 32768);
    this._pieces.push({ reply, samples });
    this.waiting += samples.length;
    this._ended = false;
  }

  /**
   * Fills a block with what is to be heard next.
   * @param {Float32Array} block
   * @returns {number | null} the place in it of the first sample of a reply that is no silence
   */
  fill(block) {
    block.fill(0);
    this.level = 0;
    if (!this._running) {
      if (this.waiting === 0 || (!this._ended && this.waiting < this._waitS * this._rateHz)) return null;
      this._running = true;
    }
    let power = 0;
    let began = null;
    for (let at = 0; at < block.length; at++) {
      const aim = this._held ? 0 : 1;
      if (aim === 0 && this._gain === 0) break;
      this._gain += Math.max(-1 / this._fade, Math.min(1 / this._fade, aim - this._gain));
      const sample = this._next();
      if (sample === null) {
        this._starve();
        break;
      }
      block[at] = sample * this._gain;
      power += block[at] * block[at];
      if (!this._began && Math.abs(sample) > AUDIBLE) {
        this._began = true;
        began = at;
      }
    }
    this.level = Math.sqrt(power / block.length);
    return began;
  }

  _next() {
    const piece = this._pieces[0];
    if (piece === undefined) return null;
    if (piece.reply !== this.reply) {
      this.reply = piece.reply;
      this.played = 0;
      this._began = false;
    }
    const sample = piece.samples[this._offset++];
    if (this._offset === piece.samples.length) {
      this._pieces.shift();
      this._offset = 0;
    }
    this.played++;
    this.waiting--;
    return sample;
  }

  /** All that came was played. If more is to come it was late, and is given more time from now on. */
  _starve() {
    this._running = false;
    this._gain = 0;
    if (!this._ended) this._waitS = Math.min(LONGEST_WAIT_S, this._waitS + MORE_WAIT_S);
  }
}
