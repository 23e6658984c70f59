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
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    const message = answer.error?.message ?? `${response.status} ${response.statusText}`;
    if (response.status === 401) throw new Problem("key", message);
    if (answer.error?.code === "origin_not_allowed") throw new Problem("origin", message);
    if (answer.error?.code === "server_is_full") throw new Problem("full", message);
    throw new Error(message);
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
