// Words come with their audio, and the audio waits a little before it is heard. Here the words wait as long.

/** @template T */
export class HeardQueue {
  constructor() {
    /** @type {{what: T, due: number}[]} */
    this._waiting = [];
  }

  /** What the first in the queue waits for. */
  get next() {
    return this._waiting[0]?.due;
  }

  /** @param {T} what @param {number} due the place in the audio that must have been heard, in any one measure */
  push(what, due) {
    this._waiting.push({ what, due });
  }

  /** Takes out what was heard by now, in order. @param {number} place @returns {T[]} */
  until(place) {
    const late = this._waiting.findIndex(({ due }) => due > place);
    return this._waiting.splice(0, late === -1 ? this._waiting.length : late).map(({ what }) => what);
  }

  /** Forgets the rest: it will not be heard. */
  drop() {
    this._waiting = [];
  }
}
