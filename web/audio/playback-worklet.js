// In the audio thread: plays what comes, holds it, lets it go on from the same sample, or drops it; and says how far it is.

import { Playback } from "./playback.js";

const REPORT_EVERY_S = 0.02;

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this._playback = new Playback(sampleRate);
    this._reportedAt = 0;
    this.port.onmessage = ({ data }) => this._obey(data);
  }

  /** @param {import("./playback.js").Order} order */
  _obey(order) {
    this._playback.obey(order);
    if (order.kind !== "push") this._report();
  }

  /** @param {Float32Array[][]} _inputs @param {Float32Array[][]} outputs */
  process(_inputs, outputs) {
    const output = outputs[0][0];
    const began = this._playback.fill(output);
    for (const channel of outputs[0].slice(1)) channel.set(output);
    if (began !== null) this._report(currentTime + began / sampleRate);
    else if (currentTime - this._reportedAt >= REPORT_EVERY_S) this._report();
    return true;
  }

  /** @param {number} [beganAt] when the first sample that is no silence was played, in the context's time */
  _report(beganAt) {
    this._reportedAt = currentTime;
    const { reply, played, level, waiting } = this._playback;
    this.port.postMessage({ reply, played, level, waiting, beganAt });
  }
}

registerProcessor("player", Player);
