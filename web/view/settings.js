// The sheet of settings. What is changed here counts at once, in the middle of a sentence too.

import { byId, html, icon } from "../lib/dom.js";
import { enginesGroup } from "./engines.js";
import { soundGroup } from "./settings-sound.js";
import { turnsGroup } from "./settings-turns.js";
import { voiceGroup } from "./settings-voice.js";

/** @param {import("../call.js").Call} call */
export function showSettings(call) {
  const sheet = byId("settings", HTMLDialogElement);
  const opener = byId("open-settings", HTMLButtonElement);

  const closer = html("button", { type: "button", class: "quiet", "aria-label": "Close the settings" }, icon("close"));
  closer.addEventListener("click", () => sheet.close());
  const title = html("h2", { id: "settings-title" }, "Settings");
  const groups = [soundGroup(call), voiceGroup(call), turnsGroup(call), enginesGroup(call)];
  sheet.append(html("div", { class: "sheet-head" }, title, closer), ...groups.map(({ element }) => element));

  opener.addEventListener("click", () => {
    for (const { refresh } of groups) refresh();
    sheet.showModal();
    sheet.scrollTop = 0;
  });
  // A press beside the sheet closes it.
  sheet.addEventListener("pointerdown", (event) => {
    if (event.target === sheet && event.clientX < sheet.getBoundingClientRect().left) sheet.close();
  });
}

/** @typedef {{element: HTMLElement, refresh: () => void}} Group what the sheet is made of; refreshed when it opens */
