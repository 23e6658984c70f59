// In the audio thread: the level of what is played, every 10 ms.

const EVERY_S = 0.01;

class Listening extends AudioWorkletProcessor {
  constructor() {
    super();
    this._power = 0;
    this._peak = 0;
    this._count = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    for (const sample of inputs[0][0] ?? []) {
      this._power += sample * sample;
      this._peak = Math.max(this._peak, Math.abs(sample));
      this._count++;
    }
    if (this._count >= EVERY_S * sampleRate) {
      this.port.postMessage({ level: Math.sqrt(this._power / this._count), peak: this._peak, at: currentTime });
      this._power = this._peak = this._count = 0;
    }
    return true;
  }
}

registerProcessor("listener", Listening);
