// Loudness as the eye wants to see it.

const FLOOR_DB = -52;
const FALL = 0.82; // of what was shown, at each frame of the screen

/** From the root mean square of samples to 0 (silence) to 1 (loud), in decibels between. @param {number} rms */
export function shown(rms) {
  if (rms <= 0) return 0;
  const db = 20 * Math.log10(rms);
  return Math.max(0, Math.min(1, (db - FLOOR_DB) / (-8 - FLOOR_DB)));
}

/** A level that rises at once and falls gently. */
export class Meter {
  constructor() {
    this.value = 0;
    this._newest = 0;
  }

  /** @param {number} rms */
  take(rms) {
    this._newest = Math.max(this._newest, shown(rms));
  }

  /** To be called at each frame of the screen. */
  tick() {
    this.value = Math.max(this._newest, this.value * FALL);
    if (this.value < 0.005) this.value = 0;
    this._newest = 0;
    return this.value;
  }
}
