// Where the time of each answer went, and how interruptions went.

import { shortened } from "./shortened.js";

/** @typedef {import("../line/events.js").ServerEvent} ServerEvent */

/** @typedef {Record<string, number | undefined>} Marks in ms */

/**
 * @typedef {object} Turn
 * @property {"turn"} kind
 * @property {string} response
 * @property {number} number
 * @property {Marks} marks from the end of the user's speech
 * @property {boolean} ahead
 * @property {Record<string, string | null>} servedBy
 * @property {number} [networkMs] from the first sound that left the server to the one that was heard here
 */

/**
 * @typedef {object} BargeIn
 * @property {"barge-in"} kind
 * @property {string} response
 * @property {number} number
 * @property {Marks} marks from the onset of the sound
 * @property {string} outcome
 * @property {string} words
 */

/**
 * @typedef {object} Run a tool's
 * @property {"run"} kind
 * @property {number} number
 * @property {string} name
 * @property {import("./tool-runs.js").Status} status
 * @property {string} text why it failed
 * @property {Marks} marks from its beginning: ended, and answered, when the agent had words again
 * @property {{text: string, atMs: number}[]} steps what it told on its way
 */

/** @typedef {Turn | BargeIn | Run} Timed */

/**
 * @typedef {object} Span
 * @property {string} name
 * @property {number} fromMs
 * @property {number} toMs
 * @property {"silence" | "work" | "way"} kind
 */

export class Timings {
  constructor() {
    /** @type {Timed[]} */
    this.all = [];
    /** @type {{run: Run, beganAt: number} | null} the tool's that ended last, until the agent has words for it */
    this._unanswered = null;
  }

  get turns() {
    return this.all.filter((entry) => entry.kind === "turn");
  }

  /** @param {ServerEvent} event @returns {boolean} whether there is something new */
  take(event) {
    if (event.type === "antiphon.turn") {
      const { response_id: response, marks, ahead, served_by: servedBy } = event;
      const number = this.turns.length + 1;
      this.all.push({ kind: "turn", response, number, marks, ahead, servedBy: servedBy ?? {} });
      return true;
    }
    if (event.type === "antiphon.barge_in") {
      const { response_id: response, marks, outcome, words } = event;
      const number = this.all.filter((entry) => entry.kind === "barge-in").length + 1;
      this.all.push({ kind: "barge-in", response, number, marks, outcome, words });
      return true;
    }
    return false;
  }

  /**
   * A tool has ended. Its times are those at which the news came.
   * @param {import("./tool-runs.js").ToolRun} ran
   */
  ran({ name, status, text, beganAt, endedAt, steps }) {
    const number = this.all.filter((entry) => entry.kind === "run").length + 1;
    const marks = { ended: endedAt - beganAt };
    const told = steps.map(({ text: step, at }) => ({ text: step, atMs: at - beganAt }));
    /** @type {Run} */
    const run = { kind: "run", number, name, status, text, marks, steps: told };
    this.all.push(run);
    this._unanswered = { run, beganAt };
  }

  /** The agent has words; returns whether a tool's run is told by that. @param {number} now */
  worded(now) {
    if (this._unanswered === null) return false;
    const { run, beganAt } = this._unanswered;
    run.marks.answered = now - beganAt;
    this._unanswered = null;
    return true;
  }

  /**
   * The first sound of an answer was heard here.
   * @param {string} response
   * @param {number} wayMs after it left the server, the way of the user's own audio included
   */
  heard(response, wayMs) {
    const turn = this.all.find((entry) => entry.kind === "turn" && entry.response === response);
    if (turn?.kind !== "turn" || turn.marks.first_sound === undefined) return false;
    turn.networkMs = Math.max(0, wayMs);
    return true;
  }

  /** @param {number} percent of the answers came at least so soon, in ms; null without any */
  percentile(percent) {
    const sorted = this.turns.map(totalMs).sort((a, b) => a - b);
    if (sorted.length === 0) return null;
    return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
  }
}

/** @param {Timed} entry */
export function nameOf(entry) {
  return `${{ turn: "Answer", "barge-in": "Barge-in", run: "Tool" }[entry.kind]} ${entry.number}`;
}

/** From the end of the user's speech to the first sound of the answer. @param {Timed} entry */
export function totalMs(entry) {
  if (entry.kind === "run") return entry.marks.ended ?? 0;
  if (entry.kind === "barge-in") return entry.marks.decided ?? 0;
  return (entry.marks.first_sound ?? 0) + (entry.networkMs ?? 0);
}

/** The parts of a turn or a barge-in. Those that lie before the end of the turn were done ahead. @param {Timed} entry */
export function spans(entry) {
  const { marks } = entry;
  /** @type {Span[]} */
  const found = [];
  /** @param {string} name @param {number | undefined} fromMs @param {number | undefined} toMs @param {Span["kind"]} kind */
  const add = (name, fromMs, toMs, kind) => {
    if (fromMs !== undefined && toMs !== undefined) found.push({ name, fromMs, toMs: Math.max(fromMs, toMs), kind });
  };
  if (entry.kind === "run") {
    add(STATUS_IN_WORDS[entry.status], 0, marks.ended, "work");
    entry.steps.forEach(({ text, atMs }, index) => {
      add(shortened(text, MOST_LETTERS), atMs, entry.steps[index + 1]?.atMs ?? marks.ended, "way");
    });
    add("Until it is told", marks.ended, marks.answered, "silence");
    return found;
  }
  if (entry.kind === "barge-in") {
    add("Noticed", 0, marks.edge, "work");
    add("Paused", marks.edge, marks.paused, "work");
    add(entry.outcome === "resumed" ? "Judged, went on" : "Judged, gave way", marks.paused, marks.decided, "silence");
    return found;
  }
  add("End-of-turn silence", 0, marks.turn_ended, "silence");
  add("Recognizer's final", 0, marks.recognizer_final, "work");
  add("Model's first word", marks.brain_started, marks.brain_first_token, "work");
  add("First clause", marks.brain_first_token, marks.first_clause, "work");
  add("Voice's first audio", marks.voice_started ?? marks.first_clause, marks.voice_first_audio, "work");
  const ready = Math.max(marks.turn_ended ?? 0, marks.voice_first_audio ?? 0);
  add("First sound leaves", Math.min(ready, marks.first_sound ?? ready), marks.first_sound, "work");
  if (entry.networkMs !== undefined && marks.first_sound !== undefined) {
    add("Way to your ear", marks.first_sound, marks.first_sound + entry.networkMs, "way");
  }
  return found;
}

/** The end of the turn, before which all work is ahead of time; none where there was no turn. @param {Timed} entry */
export function turnEndedMs(entry) {
  return entry.kind === "turn" ? entry.marks.turn_ended : undefined;
}

/** @type {Record<import("./tool-runs.js").Status, string>} */
const STATUS_IN_WORDS = { running: "Runs", completed: "Ran", failed: "Ran, and failed", cancelled: "Ran, cancelled" };
const MOST_LETTERS = 22; // of a name in the waterfall
