// What was said, as it comes.

import { byId, html } from "../lib/dom.js";
import { inWords, STATUS } from "../model/tool-runs.js";

/** @typedef {import("../model/conversation.js").Entry} Entry */

const NEAR_END = 80; // pixels

/** @param {import("../call.js").Call} call */
export function showCaptions(call) {
  const list = byId("entries", HTMLOListElement);
  const scroll = byId("scroll", HTMLElement);
  /** @type {Map<string, {item: HTMLLIElement, shown: string}>} */
  const items = new Map();

  let following = true; // the end is in sight, and stays so until somebody scrolls up
  let lastHeight = 0;
  const follow = () => {
    if (following) scroll.scrollTop = scroll.scrollHeight;
  };
  const look = () => {
    const { scrollTop, clientHeight: height, scrollHeight } = scroll;
    const resized = height !== lastHeight; // which moves what is seen, too
    lastHeight = height;
    if (!resized && height > 0) following = scrollHeight - scrollTop - height < NEAR_END;
  };
  scroll.addEventListener("scroll", look);
  new ResizeObserver(follow).observe(scroll);

  const show = () => {
    look(); // the event comes a moment after somebody has scrolled
    const { thoughts } = call.preferences.all;
    const entries = call.conversation.entries.filter(({ role }) => role !== "mind" || thoughts);
    document.body.dataset.room = entries.length === 0 ? "empty" : "full";
    const ids = new Set(entries.map(({ id }) => id));
    for (const [id, { item }] of items) {
      if (ids.has(id)) continue;
      item.remove();
      items.delete(id);
    }
    for (const entry of entries) {
      const now = JSON.stringify(entry);
      const known = items.get(entry.id);
      if (known?.shown === now) continue;
      const item = known?.item ?? html("li", { class: "entry", "data-role": entry.role, "data-id": entry.id });
      if (entry.status !== "") item.dataset.status = entry.status;
      item.replaceChildren(...partsOf(entry));
      if (known === undefined) list.insertBefore(item, follower(entry));
      items.set(entry.id, { item, shown: now });
    }
    follow();
  };
  /** The item that the one of an entry stands before. @param {Entry} entry */
  const follower = (entry) => {
    const { entries } = call.conversation;
    const after = entries.slice(entries.indexOf(entry) + 1).find(({ id }) => items.has(id));
    return after === undefined ? null : (items.get(after.id)?.item ?? null);
  };
  call.addEventListener("captions", show);
  show();

  const form = byId("composer", HTMLFormElement);
  const message = byId("message", HTMLInputElement);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = message.value.trim();
    if (text === "") return;
    message.value = "";
    call.asking.write(text);
    if (!call.active) await call.start({ voice: false });
  });
  call.addEventListener("phase", () => {
    if (call.active || call.asking.unsent.length === 0) return;
    message.value = [...call.asking.unsent.splice(0), message.value].join(" ").trim(); // to be sent again
  });
}

/** @param {Entry} entry @returns {Node[]} */
function partsOf(entry) {
  const { role, speaker, parts: said, certain, coming, open, cut, failure, typed } = entry;
  if (role === "tool") return partsOfTool(entry);
  if (role === "change") return [html("p", { class: "words" }, `${inWords(certain)} answers from here on.`)];
  const who = html("span", { class: "who" }, nameOf(entry));
  if (role === "agent" && speaker !== "") who.append(html("span", { class: "voice" }, speaker));
  const words = html("p", { class: "words" });
  if (role === "user" && said.length > 1) {
    for (const part of said)
      words.append(html("span", { class: "part" }, html("span", { class: "who" }, part.speaker), part.text));
    return [who, words];
  }
  if (role === "mind") {
    words.append(certain.trim());
    return [who, words];
  }
  if (role === "user") {
    const text = certain.trim();
    words.append(open && !typed ? html("span", { class: "partial" }, text) : text);
    return [who, words];
  }
  if (certain !== "") words.append(html("span", { class: "heard" }, certain));
  if (coming !== "")
    words.append(cut || !open ? html("s", { class: "never" }, coming) : html("span", { class: "coming" }, coming));
  /** @type {Node[]} */
  const parts = [who, words];
  if (cut) parts.push(html("span", { class: "interrupted" }, "Interrupted"));
  if (failure !== "") parts.push(html("p", { class: "failure" }, failure));
  return parts;
}

/** @param {Entry} entry @returns {Node[]} */
function partsOfTool({ certain: name, coming: progress, status, failure }) {
  if (status === "") return [];
  const told = failure || progress;
  return [
    html("span", { class: "who" }, "Tool"),
    html(
      "p",
      { class: "words" },
      html("span", { class: "tool-name" }, inWords(name)),
      html("span", { class: "pill", "data-state": status }, STATUS[status]),
    ),
    ...(told === "" ? [] : [html("p", { class: "told-by-tool" }, told)]),
  ];
}

/** @param {Entry} entry */
function nameOf({ role, speaker, agent }) {
  if (role === "agent") return agent === "" ? "Agent" : inWords(agent);
  if (role === "mind") return "Thought";
  return speaker === "" ? "You" : speaker;
}
