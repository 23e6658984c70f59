// A conversation over WebRTC: audio as media, events over a data channel.

import { Listener } from "../audio/listener.js";
import { toBase64 } from "../lib/base64.js";
import { HeardQueue } from "./heard-queue.js";
import { Peer } from "./peer.js";

/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./line.js").Line} Line */
/** @typedef {import("./line.js").LineOptions} LineOptions */

const STATS_EVERY_MS = 500;
const PACKET_MS = 20;
const USUAL_DELAY_MS = 60; // until it was measured

/** @implements {Line} */
export class RtcLine {
  /** @param {LineOptions & {post: (path: string, sdp: string) => Promise<Response>}} options */
  constructor(options) {
    this.kind = "WebRTC";
    this._options = options;
    this._audio = new Audio();
    this._audio.autoplay = true;
    /** @type {Peer | null} */
    this._peer = null;
    /** @type {Listener | null} */
    this._listener = null;
    /** @type {HeardQueue<ServerEvent>} */
    this._queue = new HeardQueue();
    this._delayMs = USUAL_DELAY_MS; // from the network to the ear
    this._roundTripMs = 0;
    this._emitted = { count: 0, delayS: 0 };
    this._live = false;
    this._closed = false;
    this._newest = ""; // the id of the event that came last
    this._path = "/v1/realtime/calls";
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._measuring = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._delivering = undefined;
  }

  /** Resolves when the session stands; raises when it cannot. */
  async open() {
    const { speaker, query } = this._options;
    await this.chooseSpeaker(speaker);
    await this._connect(`${this._path}?${query}`);
    this._measuring = setInterval(() => void this._measure(), STATS_EVERY_MS);
  }

  /** By a new connection, since the old one's way is gone. It has no track yet. @param {string} token */
  async resume(token) {
    this._live = false;
    this._emitted = { count: 0, delayS: 0 };
    await this._connect(`${this._path}?${new URLSearchParams({ token, after: this._newest })}`);
  }

  /** @param {string} path */
  async _connect(path) {
    this._peer?.close();
    const peer = new Peer({
      onEvent: (event, id) => {
        this._newest = id;
        this._receive(event);
      },
      onTrack: (track) =>
        void this._play(track).catch((error) => {
          if (!this._closed) throw error; // closed while it was being opened
        }),
      onLost: (reason) => {
        if (!this._closed && peer === this._peer) this._options.onClosed(reason);
      },
    });
    this._peer = peer;
    this._path = await peer.connect((sdp) => this._options.post(path, sdp), this._path);
  }

  /** @param {MediaStreamTrack} track */
  async _play(track) {
    const stream = new MediaStream([track]);
    this._audio.srcObject = stream;
    const { onLevel, onSound } = this._options;
    const listener = await Listener.open(stream, onLevel, onSound);
    const former = this._listener;
    this._listener = listener;
    await former?.close();
    if (this._closed) await listener.close();
  }

  /** @param {object} event */
  send(event) {
    this._peer?.send(event);
  }

  /** What was said before the track went live. @param {Uint8Array} pcm */
  hear(pcm) {
    if (!this._live) this.send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
  }

  /** @param {MediaStreamTrack | null} track */
  async useTrack(track) {
    await this._peer?.use(track);
    this._live = track !== null;
  }

  capturedAt() {
    return undefined; // the network may have stretched it
  }

  /** What must be added to what the page sees of an answer's way: the network both ways, and a packet's length. */
  get wayMs() {
    return this._roundTripMs + PACKET_MS;
  }

  /** @param {string} deviceId */
  async chooseSpeaker(deviceId) {
    if ("setSinkId" in this._audio) await this._audio.setSinkId(deviceId);
  }

  /** @param {ServerEvent} event */
  _receive(event) {
    // Words are sent with their audio, which waits in the browser for a moment.
    const spoken = event.type === "response.output_audio_transcript.delta" || event.type === "response.done";
    if (!spoken) {
      this._options.onEvent(event);
      return;
    }
    this._queue.push(event, performance.now() + this._delayMs);
    this._deliver();
  }

  _deliver() {
    clearTimeout(this._delivering);
    for (const event of this._queue.until(performance.now())) this._options.onEvent(event);
    const due = this._queue.next;
    if (due !== undefined) this._delivering = setTimeout(() => this._deliver(), Math.max(0, due - performance.now()));
  }

  async _measure() {
    for (const report of (await this._peer?.stats()) ?? []) {
      if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined) {
        this._roundTripMs = report.currentRoundTripTime * 1000;
      }
      if (report.type === "inbound-rtp" && report.kind === "audio") this._buffered(report);
    }
  }

  /** @param {{jitterBufferEmittedCount?: number, jitterBufferDelay?: number}} report */
  _buffered({ jitterBufferEmittedCount: count = 0, jitterBufferDelay: delayS = 0 }) {
    const samples = count - this._emitted.count;
    if (samples > 0) this._delayMs = ((delayS - this._emitted.delayS) / samples) * 1000;
    this._emitted = { count, delayS };
  }

  async close() {
    if (this._closed) return;
    this._closed = true;
    clearInterval(this._measuring);
    clearTimeout(this._delivering);
    for (const event of this._queue.until(Infinity)) this._options.onEvent(event);
    if (this._peer?.stood) void this._options.post(`${this._path}/hangup`, "").catch(() => {});
    this._peer?.close();
    this._audio.srcObject = null;
    await this._listener?.close();
  }
}
