// The waterfall of one turn or barge-in, as a picture.

import { svg } from "../lib/dom.js";
import { nameOf, spans, totalMs, turnEndedMs } from "../model/timings.js";

/** @typedef {import("../model/timings.js").Timed} Timed */

const WIDTH = 400;
const LEFT = 132; // for the names
const RIGHT = 44; // for the last bar's figure
const TOP = 18;
const ROW = 20;
const BAR = 10;

/** @param {Timed} entry */
export function waterfall(entry) {
  const rows = spans(entry);
  const height = TOP + rows.length * ROW + 20;
  const firstMs = Math.min(0, ...rows.map(({ fromMs }) => fromMs));
  const lastMs = Math.max(totalMs(entry), ...rows.map(({ toMs }) => toMs), 1);
  /** @param {number} ms */
  const x = (ms) => LEFT + ((ms - firstMs) / (lastMs - firstMs)) * (WIDTH - LEFT - RIGHT);
  const bottom = TOP + rows.length * ROW;

  const drawn = svg("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${height}`, role: "img" });
  drawn.append(svg("title", {}, describe(entry)), pattern());
  for (const ms of ticks(firstMs, lastMs)) {
    drawn.append(svg("line", { class: ms === 0 ? "zero" : "grid", x1: x(ms), x2: x(ms), y1: TOP - 4, y2: bottom }));
    drawn.append(svg("text", { x: x(ms), y: bottom + 14, "text-anchor": "middle" }, String(ms)));
  }
  const ended = turnEndedMs(entry);
  if (ended !== undefined) {
    drawn.append(svg("line", { class: "mark", x1: x(ended), x2: x(ended), y1: TOP - 4, y2: bottom }));
    drawn.append(svg("text", { x: x(ended), y: TOP - 8, "text-anchor": "middle" }, "turn over"));
  }
  rows.forEach((row, index) => {
    const y = TOP + index * ROW + (ROW - BAR) / 2;
    drawn.append(svg("text", { x: 0, y: y + BAR - 1 }, row.name));
    drawn.append(...bars(row, ended, x, y));
    const text = `${Math.round(row.toMs - row.fromMs)}`;
    drawn.append(svg("text", { x: x(row.toMs) + 6, y: y + BAR - 1 }, text));
  });
  return drawn;
}

/**
 * One row's bar; in two parts where some of it was done ahead.
 * @param {import("../model/timings.js").Span} row
 * @param {number | undefined} endedMs
 * @param {(ms: number) => number} x
 * @param {number} y
 */
function bars({ fromMs, toMs, kind }, endedMs, x, y) {
  /** @param {string} look @param {number} from @param {number} to */
  const bar = (look, from, to) =>
    svg("rect", { class: look, x: x(from), y, width: Math.max(1.5, x(to) - x(from)), height: BAR, rx: 2 });
  if (kind !== "work" || endedMs === undefined || fromMs >= endedMs) return [bar(kind, fromMs, toMs)];
  if (toMs <= endedMs) return [bar("ahead", fromMs, toMs)];
  return [bar("ahead", fromMs, endedMs), bar("work", endedMs, toMs)];
}

function pattern() {
  const stripes = svg(
    "pattern",
    { id: "ahead", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { class: "stripe", x1: 0, x2: 0, y1: 0, y2: 5 }),
  );
  return svg("defs", {}, stripes);
}

/** Round figures, four to seven of them, zero among them. @param {number} first @param {number} last */
export function ticks(first, last) {
  const rough = (last - first) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let ms = Math.ceil(first / step) * step; ms <= last; ms += step) found.push(Math.round(ms) + 0);
  return found;
}

/** @param {Timed} entry */
function describe(entry) {
  const rows = spans(entry).map(
    ({ name, fromMs, toMs }) => `${name} from ${Math.round(fromMs)} to ${Math.round(toMs)}`,
  );
  return `${nameOf(entry)}: ${Math.round(totalMs(entry))} milliseconds. ${rows.join("; ")}.`;
}
