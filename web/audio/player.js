// The agent's voice, where it comes as PCM.

const RATE_HZ = 24000;

/**
 * @typedef {object} Report
 * @property {string} reply the reply that plays, or played last
 * @property {number} played how many of its samples were heard
 * @property {number} level 0 to 1
 * @property {number} waiting samples that wait to be played
 * @property {number} [beganAt] when its first sound was heard, on the page's clock
 */

export class Player {
  /**
   * Opens the speakers. To be called while the user acts: browsers let a page make no sound of its own accord.
   * @param {string} deviceId "" for the default
   * @param {(report: Report) => void} onReport
   */
  static async open(deviceId, onReport) {
    const context = new AudioContext({ sampleRate: RATE_HZ, latencyHint: "interactive" });
    await context.audioWorklet.addModule(new URL("playback-worklet.js", import.meta.url));
    const player = new Player(context, onReport);
    await player.choose(deviceId);
    await context.resume();
    return player;
  }

  /** @param {AudioContext} context @param {(report: Report) => void} onReport */
  constructor(context, onReport) {
    this._context = context;
    this._node = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    this._node.connect(context.destination);
    this._onReport = onReport;
    this._node.port.onmessage = ({ data }) => this._report(data);
  }

  /** @param {Report} report with times of the audio thread */
  _report(report) {
    // What was handed to the sound card is heard a moment later.
    const behindS = this._context.outputLatency || 0;
    const played = Math.max(0, report.played - Math.round(behindS * RATE_HZ));
    const beganAt =
      report.beganAt === undefined
        ? undefined
        : performance.now() + (report.beganAt + behindS - this._context.currentTime) * 1000;
    this._onReport({ ...report, played: report.waiting > 0 ? played : report.played, beganAt });
  }

  /** @param {string} reply @param {Uint8Array} pcm mono s16 at 24 kHz; it is given away */
  push(reply, pcm) {
    const buffer = /** @type {ArrayBuffer} */ (pcm.buffer);
    this._node.port.postMessage({ kind: "push", reply, pcm: buffer }, [buffer]);
  }

  /** Falls silent and keeps its place. */
  hold() {
    this._node.port.postMessage({ kind: "hold" });
  }

  /** Goes on from there. */
  release() {
    this._node.port.postMessage({ kind: "release" });
  }

  /** Says that all of a reply has come. @param {string} reply */
  end(reply) {
    this._node.port.postMessage({ kind: "end", reply });
  }

  /** Forgets what was not played. */
  drop() {
    this._node.port.postMessage({ kind: "drop" });
  }

  /** @param {string} deviceId */
  async choose(deviceId) {
    if (canChooseSpeaker()) await /** @type {any} */ (this._context).setSinkId(deviceId);
  }

  async close() {
    this._node.port.onmessage = null;
    this._node.disconnect();
    await this._context.close();
  }
}

export function canChooseSpeaker() {
  return "setSinkId" in AudioContext.prototype;
}
