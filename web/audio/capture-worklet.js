// In the audio thread: the microphone as pieces of 20 ms, mono s16 at 24 kHz, each with its level.

import { Resampler } from "./resampler.js";

const RATE_HZ = 24000;
const PIECE = RATE_HZ / 50;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this._resampler = new Resampler(sampleRate, RATE_HZ);
    this._piece = new Int16Array(PIECE);
    this._filled = 0;
    this._power = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const samples = inputs[0][0];
    if (samples !== undefined) for (const sample of this._resampler.push(samples)) this._take(sample);
    return true;
  }

  /** @param {number} sample */
  _take(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this._power += clipped * clipped;
    this._piece[this._filled++] = Math.round(clipped * 32767);
    if (this._filled < PIECE) return;
    const piece = { pcm: this._piece.buffer, level: Math.sqrt(this._power / PIECE) };
    this.port.postMessage(piece, [piece.pcm]);
    this._piece = new Int16Array(PIECE);
    this._filled = 0;
    this._power = 0;
  }
}

registerProcessor("capture", Capture);
