// What the page asks the server besides the conversation.

import { Problem } from "./model/problems.js";

const KEY = "antiphon.key";

export class Server {
  get key() {
    return sessionStorage.getItem(KEY) ?? "";
  }

  set key(value) {
    if (value === "") sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, value);
  }

  /**
   * @param {string} path
   * @param {RequestInit} [options]
   */
  async fetch(path, options = {}) {
    const headers = new Headers(options.headers);
    if (this.key !== "") headers.set("Authorization", `Bearer ${this.key}`);
    try {
      return await fetch(path, { ...options, headers });
    } catch (error) {
      throw new Problem("unreachable", String(error));
    }
  }

  /**
   * The body of an answer; raises a Problem that says why there is none.
   * @param {string} path
   * @param {object} [body] to be posted
   */
  async json(path, body) {
    const posted = body && {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" },
    };
    const response = await this.fetch(path, posted);
    if (!response.ok) await refuse(response);
    return response.json();
  }

  /** @param {string} path */
  async delete(path) {
    const response = await this.fetch(path, { method: "DELETE" });
    if (!response.ok && response.status !== 404) await refuse(response);
  }

  /**
   * Answers to an offer of WebRTC.
   * @param {string} path
   * @param {string} sdp
   */
  async offer(path, sdp) {
    const response = await this.fetch(path, {
      method: "POST",
      body: sdp,
      keepalive: true, // a farewell goes out although the page is closed
      headers: { "Content-Type": "application/sdp" },
    });
    if (!response.ok) await refuse(response);
    return response;
  }

  /** Who serves what. Needs no key. @returns {Promise<any>} */
  async health() {
    return (await this.fetch("/health")).json();
  }

  /** Raises a Problem if there is no place for a conversation. */
  async check() {
    await this.json("/v1/models");
    const response = await this.fetch("/readiness");
    if (response.status === 503 && (await response.json()).status === "full") throw new Problem("full");
  }

  /** A key for one conversation, where one is needed: browsers can show the real one only in the open. */
  async secret() {
    if (this.key === "") return "";
    return (await this.json("/v1/realtime/client_secrets", {})).value;
  }
}

/** Raises what an answer that is an error says. @param {Response} response @returns {Promise<never>} */
async function refuse(response) {
  const { error = {} } = await response.json().catch(() => ({}));
  const message = error.message ?? `${response.status} ${response.statusText}`;
  if (response.status === 401) throw new Problem("key", message);
  if (error.code === "origin_not_allowed") throw new Problem("origin", message);
  if (error.code === "call_lost") throw new Problem("ended", message);
  if (error.code === "conversation_not_found" || error.code === "conversations_not_kept") {
    throw new Problem("not-kept", message);
  }
  if (error.code === "conversation_in_use") throw new Problem("in-use", message);
  if (error.code === "server_is_full") throw new Problem("full", message);
  throw new Error(message);
}
