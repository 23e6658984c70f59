// Who answers now, in sight; and, for those who do not see the captions, what becomes of tools and agents.

import { byId } from "../lib/dom.js";
import { inWords, isHandOver, STATUS } from "../model/tool-runs.js";

/** @param {import("../call.js").Call} call */
export function showAside(call) {
  const agent = byId("agent", HTMLElement);
  const aside = byId("aside", HTMLElement);
  let known = "";

  call.addEventListener("agent", () => {
    const name = call.active ? call.tools.agent : "";
    agent.hidden = name === "";
    agent.textContent = inWords(name);
    if (name !== "" && known !== "" && name !== known) aside.textContent = `${inWords(name)} answers from here on.`;
    known = name;
  });
  call.addEventListener("tool", () => {
    const run = call.told;
    if (run === null || isHandOver(run.name)) return;
    const text = run.text === "" ? "" : `: ${run.text}`;
    aside.textContent = `${inWords(run.name)} ${STATUS[run.status]}${text}`;
  });
}
