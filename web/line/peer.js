// One WebRTC connection, from its offer to its loss.

const GATHER_MS = 1000; // for the addresses of this device
const CONNECT_MS = 5000; // for the server to be reached by one of them
const PATIENCE_MS = 2500; // for a connection that falters

/**
 * @typedef {object} Told
 * @property {(event: import("./events.js").ServerEvent, id: string) => void} onEvent
 * @property {(track: MediaStreamTrack) => void} onTrack
 * @property {(reason: string) => void} onLost after it stood
 */

export class Peer {
  /** @param {Told} told */
  constructor(told) {
    this._told = told;
    this._connection = new RTCPeerConnection();
    this._sender = this._connection.addTransceiver("audio", { direction: "sendrecv" }).sender;
    this._channel = this._connection.createDataChannel("oai-events");
    this._connection.addEventListener("track", ({ track }) => told.onTrack(track));
    this.stood = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._faltering = undefined;
  }

  /**
   * Resolves when the session is there, with the call's path; raises when the server cannot be reached.
   * @param {(sdp: string) => Promise<Response>} post
   * @param {string} usualPath where the answer names none
   */
  async connect(post, usualPath) {
    const session = this._session();
    session.catch(() => {}); // it may fail while the offer is on its way, which then says why
    await this._connection.setLocalDescription(await this._connection.createOffer());
    await gathered(this._connection);
    const response = await post(this._connection.localDescription?.sdp ?? "");
    await this._connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
    await session;
    this.stood = true;
    return response.headers.get("Location") ?? usualPath;
  }

  _session() {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("the server was not reached")), CONNECT_MS);
      this._channel.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        if (event.type === "session.created" || event.type === "antiphon.resumed") {
          clearTimeout(late);
          resolve(event);
        }
        this._told.onEvent(event, event.event_id);
      };
      this._channel.onclose = () => this._lost("the channel was closed");
      this._connection.onconnectionstatechange = () => {
        const { connectionState: state } = this._connection;
        clearTimeout(this._faltering);
        if (state === "disconnected") {
          this._faltering = setTimeout(() => this._lost("nothing is heard of the server"), PATIENCE_MS);
        } else if (state === "failed") {
          clearTimeout(late);
          reject(new Error("no way to the server was found"));
          this._lost("the connection failed");
        }
      };
    });
  }

  /** @param {string} reason */
  _lost(reason) {
    if (!this.stood) return;
    this.stood = false;
    this._told.onLost(reason);
  }

  /** @param {object} event */
  send(event) {
    if (this._channel.readyState === "open") this._channel.send(JSON.stringify(event));
  }

  /** @param {MediaStreamTrack | null} track the microphone */
  async use(track) {
    await this._sender.replaceTrack(track);
  }

  /** @returns {Promise<any[]>} */
  async stats() {
    return [...(await this._connection.getStats()).values()];
  }

  close() {
    this.stood = false;
    clearTimeout(this._faltering);
    this._channel.onmessage = this._channel.onclose = null;
    this._connection.onconnectionstatechange = null;
    this._connection.close();
  }
}

/** Resolves when the device's addresses are known, or after a while. @param {RTCPeerConnection} connection */
function gathered(connection) {
  return new Promise((resolve) => {
    if (connection.iceGatheringState === "complete") resolve(undefined);
    setTimeout(resolve, GATHER_MS);
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState === "complete") resolve(undefined);
    });
  });
}
