// When the user's audio was taken in, by its place in the session.

const KEPT_S = 60;

export class SentAudio {
  constructor() {
    this._endS = 0;
    /** @type {{endS: number, at: number}[]} */
    this._pieces = [];
  }

  /** @param {number} lengthS @param {number} at when its last sample was taken in, in ms on the page's clock */
  add(lengthS, at) {
    this._endS += lengthS;
    this._pieces.push({ endS: this._endS, at });
    while (this._pieces[0].endS < this._endS - KEPT_S) this._pieces.shift();
  }

  /**
   * When a place of the session's audio was taken in, on the page's clock; undefined if that is long ago or to come.
   * @param {number} sessionMs
   */
  capturedAt(sessionMs) {
    const piece = this._pieces.find(({ endS }) => endS * 1000 >= sessionMs);
    return piece && piece.at - (piece.endS * 1000 - sessionMs);
  }
}
