// A conversation over a WebSocket: events both ways, and the audio in them.

import { Player } from "../audio/player.js";
import { fromBase64, toBase64 } from "../lib/base64.js";
import { HeardQueue } from "./heard-queue.js";
import { SentAudio } from "./sent-audio.js";

/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./line.js").Line} Line */
/** @typedef {import("./line.js").LineOptions} LineOptions */

const RATE_HZ = 24000;
const FRAME = RATE_HZ / 50;

/** @implements {Line} */
export class SocketLine {
  /** @param {LineOptions} options */
  constructor(options) {
    this.kind = "WebSocket";
    this._options = options;
    this._sent = new SentAudio();
    /** @type {HeardQueue<ServerEvent>} */
    this._queue = new HeardQueue();
    this._reply = "";
    this._item = "";
    this._came = 0; // samples of that reply
    this._played = 0;
    this._held = false;
    /** @type {WebSocket | null} */
    this._socket = null;
    /** @type {Player | null} */
    this._player = null;
    this._closed = false;
  }

  /** Resolves when the session stands; raises when it cannot. */
  async open() {
    const { speaker, secret, query } = this._options;
    this._player = await Player.open(speaker, (report) => this._reported(report));
    const url = new URL(`/v1/realtime?${query}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const key = secret === "" ? [] : [`openai-insecure-api-key.${secret}`];
    const socket = new WebSocket(url, ["realtime", ...key]);
    this._socket = socket;
    await new Promise((resolve, reject) => {
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === "session.created") resolve(event);
        this._receive(event);
      };
      socket.onclose = ({ code, reason }) => {
        reject(new Error(`the connection was closed: ${code} ${reason}`));
        this._lost(code, reason);
      };
    });
  }

  /** @param {number} code @param {string} reason */
  _lost(code, reason) {
    if (this._closed) return;
    this._player?.drop();
    this._options.onClosed(code, reason);
  }

  /** @param {object} event */
  send(event) {
    if (this._socket?.readyState === WebSocket.OPEN) this._socket.send(JSON.stringify(event));
  }

  /** @param {Uint8Array} pcm @param {number} capturedAt the end of it, on the page's clock */
  hear(pcm, capturedAt) {
    this._sent.add(pcm.length / 2 / RATE_HZ, capturedAt);
    this.send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
  }

  /** @param {number} sessionMs */
  capturedAt(sessionMs) {
    return this._sent.capturedAt(sessionMs);
  }

  get wayMs() {
    return 0; // all of it is seen
  }

  /** @param {MediaStreamTrack | null} _track */
  async useTrack(_track) {}

  /** @param {string} deviceId */
  async chooseSpeaker(deviceId) {
    await this._player?.choose(deviceId);
  }

  /** @param {ServerEvent} event */
  _receive(event) {
    switch (event.type) {
      case "response.output_audio.delta":
        this._play(event);
        return;
      case "response.output_audio_transcript.delta":
        // The word began within the frame before.
        this._queue.push(event, this._came - FRAME);
        this._deliver();
        return;
      case "antiphon.state":
        this._follow(event.state);
        break;
      case "response.done":
        this._done(event);
        return;
    }
    this._options.onEvent(event);
  }

  /** @param {ServerEvent & {type: "response.output_audio.delta"}} event */
  _play({ response_id: reply, item_id: item, delta }) {
    if (reply !== this._reply) {
      this._flush();
      this._reply = reply;
      this._came = 0;
      this._played = 0;
      if (!this._held) this._player?.release();
    }
    this._item = item;
    const pcm = fromBase64(delta);
    this._came += pcm.length / 2;
    this._player?.push(reply, pcm);
  }

  /** @param {string} state the conversation's */
  _follow(state) {
    const hold = state === "barged_in";
    if (hold === this._held) return;
    this._held = hold;
    if (hold) this._player?.hold();
    else if (state === "speaking") this._player?.release();
  }

  /** @param {ServerEvent & {type: "response.done"}} event */
  _done(event) {
    const { id, status } = event.response;
    if (id !== this._reply) {
      this._options.onEvent(event);
    } else if (status === "cancelled") {
      this._cut();
      this._options.onEvent(event);
    } else {
      this._player?.release();
      this._player?.end(id);
      this._queue.push(event, this._came);
      this._deliver();
    }
  }

  /** The reply ends here, and the server is told what of it was heard. */
  _cut() {
    this._player?.drop();
    this._held = false;
    this._deliver();
    this._queue.drop();
    if (this._item !== "" && this._played < this._came) {
      const heardMs = Math.floor((this._played * 1000) / RATE_HZ);
      this.send({ type: "conversation.item.truncate", item_id: this._item, content_index: 0, audio_end_ms: heardMs });
    }
    this._came = this._played;
  }

  /** @param {import("../audio/player.js").Report} report */
  _reported({ reply, played, level, beganAt }) {
    this._options.onLevel(level);
    if (reply !== this._reply) return;
    if (played > this._played) this._played = Math.min(played, this._came);
    if (beganAt !== undefined) this._options.onSound(beganAt);
    this._deliver();
  }

  _deliver() {
    for (const event of this._queue.until(this._played)) this._options.onEvent(event);
  }

  /** What still waits was heard, or will be at once. */
  _flush() {
    for (const event of this._queue.until(Infinity)) this._options.onEvent(event);
  }

  async close() {
    if (this._closed) return;
    this._closed = true;
    this._flush();
    this._socket?.close();
    await this._player?.close();
  }
}
