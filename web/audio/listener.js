// How loud the agent is, and when it begins to sound, where the browser plays it by itself.

const SILENCE_MS = 80; // after which a sound counts as a beginning
const AUDIBLE = 200 / 32768;

export class Listener {
  /**
   * @param {MediaStream} stream
   * @param {(level: number) => void} onLevel
   * @param {(at: number) => void} onSound a sound after silence, in ms on the page's clock
   */
  static async open(stream, onLevel, onSound) {
    const context = new AudioContext({ latencyHint: "interactive" });
    await context.audioWorklet.addModule(new URL("listener-worklet.js", import.meta.url));
    await context.resume();
    return new Listener(context, stream, onLevel, onSound);
  }

  /**
   * @param {AudioContext} context
   * @param {MediaStream} stream
   * @param {(level: number) => void} onLevel
   * @param {(at: number) => void} onSound
   */
  constructor(context, stream, onLevel, onSound) {
    this._context = context;
    this._source = context.createMediaStreamSource(stream);
    this._node = new AudioWorkletNode(context, "listener", { numberOfOutputs: 0 });
    let soundedAt = -Infinity;
    this._node.port.onmessage = ({ data: { level, peak, at } }) => {
      onLevel(level);
      if (peak <= AUDIBLE) return;
      const now = performance.now() + (at - context.currentTime) * 1000;
      if (now - soundedAt > SILENCE_MS) onSound(now);
      soundedAt = now;
    };
    this._source.connect(this._node);
  }

  async close() {
    this._node.port.onmessage = null;
    this._source.disconnect();
    await this._context.close();
  }
}
