// One line that says who answers, and says at once when somebody is missing.

import { byId } from "../lib/dom.js";

/** @type {Record<string, string>} */
export const STAGES = { vad: "Voice activity", asr: "Recognizer", llm: "Language model", tts: "Voice" };

/** @param {import("../call.js").Call} call */
export function showServed(call) {
  const line = byId("served", HTMLElement);
  /** @type {Record<string, string>} */
  let engines = {};

  const show = () => {
    const missing = call.fleet?.missing ?? [];
    const { asr, tts } = engines;
    const llm = call.brain || engines.llm;
    line.textContent =
      missing.length > 0
        ? `${missing.map((/** @type {string} */ stage) => STAGES[stage]).join(", ")}: not available at the moment`
        : [asr, llm, tts].filter(Boolean).join("  ·  ");
  };
  const ask = async () => {
    try {
      const health = await call.server.health();
      engines = health.engines;
      call.fleet = { missing: [], ...health };
      show();
    } catch {
      line.textContent = "";
    }
  };
  call.addEventListener("fleet", show);
  call.addEventListener("brain", show);
  call.addEventListener("phase", () => {
    if (call.phase === "ready" || call.phase === "error") void ask();
  });
  void ask();
}
