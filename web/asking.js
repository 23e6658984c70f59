// What the user asks the agent to answer: what is written, and what is said while the key of push-to-talk is held.

/** @typedef {import("./line/events.js").ServerEvent} ServerEvent */

const TAP_MS = 250; // a key that is held for less says nothing
const BUSY = "conversation_already_has_active_response"; // when an answer is asked for while one is given

export class Asking {
  /** @param {import("./call.js").Call} call */
  constructor(call) {
    this._call = call;
    /** @type {string[]} what was written, and waits for the line */
    this.unsent = [];
    this._answering = ""; // the reply that is being given
    this._refused = false; // an answer has to be asked for again, since the agent spoke first
    this._letGo = false; // the key, before what was said with it could be sent
    this._heldAt = 0; // the key, from then on
  }

  /** The conversation is over. */
  forget() {
    this._answering = "";
    this._refused = false;
    this._letGo = false;
  }

  /** @param {object} event */
  _send(event) {
    this._call.line?.send(event);
  }

  /** The agent is not to go on with its answer. */
  _interrupt() {
    if (this._answering !== "") this._send({ type: "response.cancel" });
  }

  /** Whether the event concerns nobody else. @param {ServerEvent} event */
  take(event) {
    switch (event.type) {
      case "response.created":
        this._answering = event.response.id;
        return false;
      case "response.done":
        if (event.response.id === this._answering) this._answering = "";
        if (this._refused) this._send({ type: "response.create" });
        this._refused = false;
        return false;
      case "error":
        if (event.error.code !== BUSY) return false;
        this._refused = true;
        this._send({ type: "response.cancel" });
        return true;
      default:
        return false;
    }
  }

  /** Says something in writing, and has it answered, as soon as there is a line. @param {string} text */
  write(text) {
    if (!this._call.connected) {
      this.unsent.push(text);
      return;
    }
    this._interrupt();
    const content = [{ type: "input_text", text }];
    this._send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    this._send({ type: "response.create" });
  }

  /** The line stands, for the first time or again, and has what was said. */
  standing() {
    for (const text of this.unsent.splice(0)) this.write(text);
    if (this._letGo) this._askForAnswer();
    this._letGo = false;
  }

  /** The key of push-to-talk goes down or up. @param {boolean} down */
  hold(down) {
    const { input, connected, preferences } = this._call;
    if (!preferences.all.pushToTalk || down === input.holding) return;
    if (down && !connected) return;
    input.holding = down;
    input.gate();
    if (!connected) {
      this._letGo = true; // while the network was gone
    } else if (down) {
      this._heldAt = performance.now();
      this._interrupt();
      this._send({ type: "input_audio_buffer.clear" });
    } else if (performance.now() - this._heldAt < TAP_MS) {
      this._send({ type: "input_audio_buffer.clear" }); // a tap says nothing, and stops the agent
    } else {
      this._askForAnswer();
    }
    this._call.changed("input");
  }

  /** To what was said while the key was held. */
  _askForAnswer() {
    this._send({ type: "input_audio_buffer.commit" });
    this._send({ type: "response.create" });
  }
}
