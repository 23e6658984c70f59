// Which of the server's agents has the conversation, and what its tools are doing.

/** @typedef {import("../line/events.js").ServerEvent} ServerEvent */
/** @typedef {"running" | "completed" | "failed" | "cancelled"} Status */

/**
 * @typedef {object} ToolRun
 * @property {string} id of the call
 * @property {string} name
 * @property {Status} status
 * @property {string} text how far it is, or why it failed
 * @property {number} beganAt on the page's clock, in ms
 * @property {number} endedAt the same; NaN while it runs
 * @property {{text: string, at: number}[]} steps what it told on its way
 */

export class ToolRuns {
  constructor() {
    this.agent = "";
    /** @type {Map<string, ToolRun>} those that run, by call */
    this._running = new Map();
  }

  /** The one that has told something last, of those that run. @returns {ToolRun | undefined} */
  get newest() {
    return [...this._running.values()].at(-1);
  }

  /**
   * Takes an event; returns the run that it is about.
   * @param {ServerEvent} event
   * @param {number} now
   * @returns {ToolRun | null}
   */
  take(event, now) {
    if (event.type === "antiphon.agent") this.agent = event.agent;
    if (event.type !== "antiphon.tool") return null;
    const { call_id: id, name, status, text = "" } = event;
    const run = this._running.get(id) ?? begun(id, name, now);
    this._running.delete(id); // the newest is the last
    if (text !== "" || status !== "completed") run.text = text;
    if (status === "progress") run.steps.push({ text, at: now });
    if (status === "running" || status === "progress") {
      this._running.set(id, run);
    } else {
      run.status = status;
      run.endedAt = now;
    }
    return run;
  }

  /** The line is closed: nothing more is told. */
  close() {
    this._running.clear();
  }
}

/** @param {string} id @param {string} name @param {number} now @returns {ToolRun} */
function begun(id, name, now) {
  return { id, name, status: "running", text: "", beganAt: now, endedAt: NaN, steps: [] };
}

/** A hand-over is a tool too, which the captions tell in their own way. @param {string} name */
export function isHandOver(name) {
  return name.startsWith("transfer_to_");
}

/** A name as people read it: "lost_property" is "Lost property". @param {string} name */
export function inWords(name) {
  const words = name.replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** @type {Record<Status, string>} */
export const STATUS = { running: "running", completed: "done", failed: "failed", cancelled: "cancelled" };
