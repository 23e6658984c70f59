// The user's voice.

import { Problem } from "../model/problems.js";

/** @typedef {{pcm: Uint8Array, level: number}} Piece 20 ms, mono s16 at 24 kHz; the level is 0 to 1 */

/** @typedef {{deviceId: string, echoCancellation: boolean}} Choice */

export class Microphone {
  /**
   * Asks for the microphone. Raises a Problem that says what is missing.
   * @param {Choice} choice
   * @param {(piece: Piece) => void} onPiece
   * @param {() => void} onLost when it was unplugged, or taken away
   */
  static async open(choice, onPiece, onLost) {
    if (!window.isSecureContext || navigator.mediaDevices === undefined) throw new Problem("insecure");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: constraints(choice) });
    } catch (error) {
      throw new Problem(kindOf(error), String(error));
    }
    const context = new AudioContext({ latencyHint: "interactive" });
    try {
      await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
      await context.resume();
      return new Microphone(stream, context, onPiece, onLost);
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await context.close();
      throw error;
    }
  }

  /**
   * @param {MediaStream} stream
   * @param {AudioContext} context
   * @param {(piece: Piece) => void} onPiece
   * @param {() => void} onLost
   */
  constructor(stream, context, onPiece, onLost) {
    this.stream = stream;
    this._context = context;
    this._source = context.createMediaStreamSource(stream);
    this._node = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
    });
    this._node.port.onmessage = ({ data }) => onPiece({ pcm: new Uint8Array(data.pcm), level: data.level });
    this._source.connect(this._node);
    this.track.addEventListener("ended", onLost);
  }

  get track() {
    return this.stream.getAudioTracks()[0];
  }

  async close() {
    this._node.port.onmessage = null;
    this._source.disconnect();
    for (const track of this.stream.getTracks()) track.stop();
    await this._context.close();
  }
}

/** @param {Choice} choice @returns {MediaTrackConstraints} */
function constraints({ deviceId, echoCancellation }) {
  const wanted = { echoCancellation, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
  return deviceId === "" ? wanted : { ...wanted, deviceId: { exact: deviceId } };
}

/** @param {unknown} error @returns {import("../model/problems.js").Kind} */
function kindOf(error) {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "refused";
    case "NotFoundError":
    case "OverconstrainedError":
      return "no-microphone";
    default:
      return "microphone-fails";
  }
}
