// Another sampling rate for a stream of audio: a windowed sinc, one phase for each place between two samples.

const TAPS = 32;

/** @param {number} a @param {number} b @returns {number} */
function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * The filter's coefficients for each phase, of sum 1.
 * @param {number} phases
 * @param {number} cutoff of the input's Nyquist frequency
 */
function coefficients(phases, cutoff) {
  return Array.from({ length: phases }, (_, phase) => {
    const taps = new Float32Array(TAPS);
    let sum = 0;
    for (let tap = 0; tap < TAPS; tap++) {
      const x = tap - TAPS / 2 + 1 - phase / phases;
      const window = 0.42 + 0.5 * Math.cos((2 * Math.PI * x) / TAPS) + 0.08 * Math.cos((4 * Math.PI * x) / TAPS);
      const sinc = x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x);
      taps[tap] = sinc * window;
      sum += taps[tap];
    }
    return taps.map((value) => value / sum);
  });
}

/** Keeps what it needs of the audio before, so that pieces of any length give the same as the whole. */
export class Resampler {
  /** @param {number} from Hz @param {number} to Hz */
  constructor(from, to) {
    const common = greatestCommonDivisor(from, to);
    this._phases = to / common;
    this._step = from / common;
    this._filters = coefficients(this._phases, Math.min(1, (0.94 * to) / from));
    this._kept = new Float32Array(TAPS / 2 - 1);
    this._at = 0; // of the next sample, in phases after the first sample that is kept
  }

  /** @param {Float32Array} samples @returns {Float32Array} */
  push(samples) {
    const input = new Float32Array(this._kept.length + samples.length);
    input.set(this._kept);
    input.set(samples, this._kept.length);
    const count = Math.max(0, Math.ceil(((input.length - TAPS + 1) * this._phases - this._at) / this._step));
    const output = new Float32Array(count);
    for (let index = 0; index < count; index++, this._at += this._step) {
      const start = Math.floor(this._at / this._phases);
      const filter = this._filters[this._at % this._phases];
      let sum = 0;
      for (let tap = 0; tap < TAPS; tap++) sum += filter[tap] * input[start + tap];
      output[index] = sum;
    }
    const done = Math.min(Math.floor(this._at / this._phases), input.length);
    this._at -= done * this._phases;
    this._kept = input.slice(done);
    return output;
  }
}
