// A conversation over WebRTC: audio as media, events over a data channel.

import { Listener } from "../audio/listener.js";
import { toBase64 } from "../lib/base64.js";
import { HeardQueue } from "./heard-queue.js";

/** @typedef {import("./events.js").ServerEvent} ServerEvent */
/** @typedef {import("./line.js").Line} Line */
/** @typedef {import("./line.js").LineOptions} LineOptions */

const GATHER_MS = 1000; // for the addresses of this device
const CONNECT_MS = 5000; // for the server to be reached by one of them
const STATS_EVERY_MS = 500;
const PACKET_MS = 20;
const USUAL_DELAY_MS = 60; // until it was measured

/** @implements {Line} */
export class RtcLine {
  /** @param {LineOptions & {post: (path: string, sdp: string) => Promise<Response>}} options */
  constructor(options) {
    this.kind = "WebRTC";
    this._options = options;
    this._peer = new RTCPeerConnection();
    this._sender = this._peer.addTransceiver("audio", { direction: "sendrecv" }).sender;
    this._channel = this._peer.createDataChannel("oai-events");
    this._audio = new Audio();
    this._audio.autoplay = true;
    /** @type {Listener | null} */
    this._listener = null;
    /** @type {HeardQueue<ServerEvent>} */
    this._queue = new HeardQueue();
    this._delayMs = USUAL_DELAY_MS; // from the network to the ear
    this._roundTripMs = 0;
    this._emitted = { count: 0, delayS: 0 };
    this._live = false;
    this._closed = false;
    this._stood = false;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._measuring = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._delivering = undefined;
  }

  /** Resolves when the session stands; raises when it cannot. */
  async open() {
    const { speaker, query, post } = this._options;
    this._peer.addEventListener("track", ({ track }) => void this._play(track));
    await this.chooseSpeaker(speaker);
    const created = this._created();
    await this._peer.setLocalDescription(await this._peer.createOffer());
    await gathered(this._peer);
    const sdp = this._peer.localDescription?.sdp ?? "";
    const response = await post(`/v1/realtime/calls?${query}`, sdp);
    await this._peer.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await created;
    this._stood = true;
    this._measuring = setInterval(() => void this._measure(), STATS_EVERY_MS);
  }

  /** Resolves when the session is there. */
  _created() {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the server was not reached")), CONNECT_MS);
      this._channel.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === "session.created") {
          clearTimeout(late);
          resolve(event);
        }
        this._receive(event);
      };
      this._channel.onclose = () => this._lost("the channel was closed");
      this._peer.onconnectionstatechange = () => {
        if (this._peer.connectionState !== "failed") return;
        clearTimeout(late);
        reject(new Error("no way to the server was found"));
        this._lost("the connection failed");
      };
    });
  }

  /** @param {string} reason */
  _lost(reason) {
    if (!this._closed && this._stood) this._options.onClosed(0, reason);
  }

  /** @param {MediaStreamTrack} track */
  async _play(track) {
    const stream = new MediaStream([track]);
    this._audio.srcObject = stream;
    const { onLevel, onSound } = this._options;
    const listener = await Listener.open(stream, onLevel, onSound);
    if (this._closed) await listener.close();
    else this._listener = listener;
  }

  /** @param {object} event */
  send(event) {
    if (this._channel.readyState === "open") this._channel.send(JSON.stringify(event));
  }

  /** What was said before the track went live. @param {Uint8Array} pcm */
  hear(pcm) {
    if (!this._live) this.send({ type: "input_audio_buffer.append", audio: toBase64(pcm) });
  }

  /** @param {MediaStreamTrack | null} track */
  async useTrack(track) {
    await this._sender.replaceTrack(track);
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
    for (const report of (await this._peer.getStats()).values()) {
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
    this._channel.close();
    this._peer.close();
    this._audio.srcObject = null;
    await this._listener?.close();
  }
}

/** Resolves when the device's addresses are known, or after a while. @param {RTCPeerConnection} peer */
function gathered(peer) {
  return new Promise((resolve) => {
    if (peer.iceGatheringState === "complete") resolve(undefined);
    setTimeout(resolve, GATHER_MS);
    peer.addEventListener("icegatheringstatechange", () => {
      if (peer.iceGatheringState === "complete") resolve(undefined);
    });
  });
}
