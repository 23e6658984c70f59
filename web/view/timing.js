// Response times: the session's figures, the waterfall of one turn, and all turns to choose from.

import { byId, html, svg } from "../lib/dom.js";
import { nameOf, spans, totalMs } from "../model/timings.js";
import { inWords, STATUS } from "../model/tool-runs.js";
import { waterfall } from "./waterfall.js";

/** @typedef {import("../model/timings.js").Timed} Timed */

/** @param {import("../call.js").Call} call */
export function showTiming(call) {
  const body = byId("timing-body", HTMLElement);
  const record = byId("record", HTMLAnchorElement);
  /** @type {Timed | null} to be looked at while others come; null: the newest turn */
  let chosen = null;
  let asTable = false;

  const show = () => {
    const { timings } = call;
    record.hidden = call.recordUrl === "";
    if (call.recordUrl !== "") record.href = call.recordUrl;
    if (timings.all.length === 0) {
      body.replaceChildren(
        html("p", { class: "empty" }, "Each answer to what you say will show here where its time went."),
      );
      return;
    }
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.turn;
    const own = timings.all.filter(({ kind }) => kind !== "barge-in");
    const newest = own.at(-1) ?? timings.all[timings.all.length - 1];
    const entry = chosen !== null && timings.all.includes(chosen) ? chosen : newest;
    const table = html(
      "details",
      { class: "as-table", open: asTable },
      html("summary", {}, "As a table"),
      tableOf(entry),
    );
    table.addEventListener("toggle", () => (asTable = table.open));
    body.replaceChildren(
      figures(call),
      waterfall(entry),
      html("p", { class: "caption" }, captionOf(entry)),
      table,
      list(timings.all, entry, (wanted) => {
        chosen = wanted === newest ? null : wanted;
        show();
      }),
    );
    if (focused) /** @type {HTMLElement | null} */ (body.querySelector(`[data-turn="${focused}"]`))?.focus();
  };
  call.addEventListener("timings", show);
  call.addEventListener("session", show);
  show();
}

/** @param {import("../call.js").Call} call */
function figures({ timings }) {
  const count = timings.turns.length;
  return html(
    "dl",
    { class: "figures" },
    figure("Median", timings.percentile(50)),
    figure("95th percentile", timings.percentile(95)),
    html("div", { class: "figure" }, html("dt", {}, "Answers"), html("dd", {}, String(count))),
  );
}

/** @param {string} name @param {number | null} ms */
function figure(name, ms) {
  const value = ms === null ? ["–"] : [String(Math.round(ms)), html("small", {}, " ms")];
  return html("div", { class: "figure" }, html("dt", {}, name), html("dd", {}, ...value));
}

/** @param {Timed} entry */
function captionOf(entry) {
  if (entry.kind === "turn") {
    return entry.ahead
      ? "From the end of your speech. What is hatched was done ahead, while the silence ran."
      : "From the end of your speech.";
  }
  if (entry.kind === "run") {
    const why = entry.status === "failed" && entry.text !== "" ? `: ${entry.text}` : ".";
    return `${inWords(entry.name)}, from its beginning; ${STATUS[entry.status]}${why}`;
  }
  const outcome =
    { cut: "it gave way", resumed: "it went on", ended: "the answer was over" }[entry.outcome] ?? entry.outcome;
  return `From the first sound over the answer; ${outcome}${entry.words ? `, at “${entry.words}”` : ""}.`;
}

/** @param {Timed} entry */
function tableOf(entry) {
  const head = html("tr", {}, ...["Stage", "From", "To", "ms"].map((name) => html("th", { scope: "col" }, name)));
  const rows = spans(entry).map(({ name, fromMs, toMs }) => {
    const cells = [fromMs, toMs, toMs - fromMs].map((value) => html("td", {}, value.toFixed(1)));
    return html("tr", {}, html("th", { scope: "row" }, name), ...cells);
  });
  const caption = html("caption", { class: "unseen" }, `${nameOf(entry)}, in milliseconds`);
  return html("table", { class: "numbers" }, caption, html("thead", {}, head), html("tbody", {}, ...rows));
}

/**
 * @param {Timed[]} all
 * @param {Timed} shown
 * @param {(entry: Timed) => void} choose
 */
function list(all, shown, choose) {
  const longest = Math.max(...all.map(totalMs), 1);
  const rows = [...all].reverse().map((entry) => {
    const key = `${entry.kind}-${entry.number}`;
    const button = html(
      "button",
      { type: "button", class: "turn", "aria-pressed": String(entry === shown), "data-turn": key },
      html("span", {}, nameOf(entry)),
      miniature(entry, longest),
      html("output", {}, `${Math.round(totalMs(entry))} ms`),
    );
    button.addEventListener("click", () => choose(entry));
    return html("li", {}, button);
  });
  return html("ol", { class: "turns", "aria-label": "All answers, interruptions and tools" }, ...rows);
}

/** @param {Timed} entry @param {number} longestMs */
function miniature(entry, longestMs) {
  const drawn = svg("svg", {
    class: "bar-of",
    viewBox: "0 0 1000 6",
    preserveAspectRatio: "none",
    "aria-hidden": "true",
  });
  const scale = 1000 / longestMs;
  const silent = entry.kind === "turn" ? (entry.marks.turn_ended ?? 0) : (entry.marks.paused ?? totalMs(entry));
  const total = totalMs(entry);
  const [first, second] = entry.kind === "turn" ? ["silence", "work"] : ["work", "silence"];
  drawn.append(
    svg("rect", { class: first, x: 0, y: 0, height: 6, width: Math.max(0, Math.min(silent, total)) * scale }),
  );
  drawn.append(
    svg("rect", { class: second, x: silent * scale, y: 0, height: 6, width: Math.max(0, total - silent) * scale }),
  );
  return drawn;
}
