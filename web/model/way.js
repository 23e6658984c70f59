// How long a first sound takes from the server to the ear here: for the last bar of the waterfall.

/** @typedef {import("../line/events.js").ServerEvent} ServerEvent */
/** @typedef {import("../line/line.js").Line} Line */

const AROUND_MS = 150; // by which the news of a turn may come after its first sound

export class WayToEar {
  constructor() {
    this._speechEnd = { turn: "", ms: 0 }; // in the session's time
    this._soundAt = -Infinity;
    /** @type {{response: string, arrivedAt: number, endMs: number | undefined, firstSoundMs: number} | null} */
    this._turn = null;
  }

  /** @param {ServerEvent} event @param {number} now */
  take(event, now) {
    if (event.type === "input_audio_buffer.speech_stopped") {
      this._speechEnd = { turn: event.item_id, ms: event.audio_end_ms };
    } else if (event.type === "antiphon.turn") {
      this._turn = {
        response: event.response_id,
        arrivedAt: now,
        endMs: this._speechEnd.turn === event.item_id ? this._speechEnd.ms : undefined,
        firstSoundMs: event.marks.first_sound ?? 0,
      };
    }
  }

  /** The agent begins to sound. @param {number} at */
  sounded(at) {
    this._soundAt = at;
  }

  /**
   * The way of an answer, once: when both the news of its turn and its first sound are there.
   * @param {Line | null} line
   */
  measured(line) {
    const turn = this._turn;
    if (turn === null || line === null || this._soundAt < turn.arrivedAt - AROUND_MS) return null;
    this._turn = null;
    const spokenAt = turn.endMs === undefined ? undefined : line.capturedAt(turn.endMs);
    const ms =
      spokenAt === undefined
        ? this._soundAt - turn.arrivedAt + line.wayMs
        : this._soundAt - spokenAt - turn.firstSoundMs;
    return { response: turn.response, ms };
  }
}
