// The conversations of this browser that the server keeps. Their ids are the keys to what was said, and stay here.

import { shortened } from "./shortened.js";

const KEY = "antiphon.conversations";
const MOST = 30;
const TITLE_LETTERS = 60;

/**
 * @typedef {object} KeptConversation
 * @property {string} id
 * @property {string} title what the user said first
 * @property {number} at when it was gone on with last, as Date.now() has it
 */

export class Kept {
  constructor() {
    /** @type {KeptConversation[]} the newest first */
    this.all = read();
  }

  /** Something was said in it. @param {string} id @param {string} words of the user, for one that is new */
  note(id, words) {
    const title =
      this.all.find((each) => each.id === id)?.title ?? shortened(words.trim().replace(/\s+/g, " "), TITLE_LETTERS);
    const others = this.all.filter((each) => each.id !== id);
    this._keep([{ id, title, at: Date.now() }, ...others].slice(0, MOST));
  }

  /** @param {string} id */
  forget(id) {
    this._keep(this.all.filter((each) => each.id !== id));
  }

  /** @param {KeptConversation[]} all */
  _keep(all) {
    this.all = all;
    try {
      localStorage.setItem(KEY, JSON.stringify(all));
    } catch {
      // A browser that keeps nothing: they are known until the page is closed.
    }
  }
}

/** @returns {KeptConversation[]} */
function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found)
      ? found.filter(({ id, title }) => typeof id === "string" && typeof title === "string")
      : [];
  } catch {
    return [];
  }
}
