// Which engine serves each stage and where; what is in memory, and how that changes.

import { html } from "../lib/dom.js";
import { group } from "../lib/forms.js";
import { STAGES } from "./served.js";

const MODELS = "/v1/antiphon/models";
const LOOK_AGAIN_MS = 700;

/** @typedef {{name: string, stage: string, where: string, state: string, in_use: number | null, can_unload: boolean, reason: string}} Place */

/** @param {import("../call.js").Call} call @returns {import("./settings.js").Group} */
export function enginesGroup(call) {
  const stages = html("dl", { class: "stages" });
  const models = html("ul", { class: "models", "aria-label": "Models" });
  const said = html("p", { class: "note", role: "status" });
  const advice = html("div", { class: "note" });
  const better = html("h4", {}, "For better answers");
  /** @type {any} */
  let health = { engines: {} };
  /** @type {Place[]} */
  let places = [];
  /** @type {Set<string>} those that this page has asked to change */
  const changing = new Set();

  const show = () => {
    stages.replaceChildren(...Object.keys(STAGES).map((stage) => stageRow(stage, health)));
    const focused = models.contains(document.activeElement)
      ? document.activeElement?.closest("li")?.dataset.model
      : undefined;
    models.replaceChildren(...places.map((place) => modelRow(place, changing.has(place.name), change)));
    if (focused !== undefined) focusModel(models, focused);
    advice.replaceChildren(...adviceFor(health, call.brain, places));
    better.hidden = advice.childElementCount === 0;
  };
  const refresh = async () => {
    try {
      health = await call.server.health();
      places = (await call.server.json(MODELS)).data;
      said.textContent = "";
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    }
    show();
  };
  /** @param {Place} place @param {"load" | "unload"} what */
  const change = async (place, what) => {
    changing.add(place.name);
    said.textContent = what === "load" ? `Loading ${place.name}` : `Unloading ${place.name}`;
    show();
    const looking = setInterval(() => void look(), LOOK_AGAIN_MS);
    try {
      places = (await call.server.json(`${MODELS}/${what}`, { model: place.name })).data;
      said.textContent = what === "load" ? `${place.name} is loaded.` : `${place.name} is unloaded.`;
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      clearInterval(looking);
      changing.delete(place.name);
      show();
    }
  };
  const look = async () => {
    places = (await call.server.json(MODELS).catch(() => ({ data: places }))).data;
    show();
  };
  call.addEventListener("brain", show);
  call.addEventListener("fleet", () => {
    health = { ...health, ...call.fleet };
    show();
  });
  return {
    element: group("Engines", stages, html("h4", {}, "Models in memory"), models, said, better, advice),
    refresh: () => void refresh(),
  };
}

/** @param {string} stage @param {any} health */
function stageRow(stage, health) {
  const engine = health.stages?.[stage]?.engine ?? health.engines?.[stage] ?? "";
  const workers = (health.workers ?? []).filter((/** @type {any} */ worker) => worker.stage === stage);
  const down = (health.missing ?? []).includes(stage) || health.stages?.[stage]?.state === "down";
  return html(
    "div",
    { class: "stage-row" },
    html("dt", {}, STAGES[stage]),
    html("dd", { class: "pill", "data-state": down ? "down" : "serving" }, down ? "down" : "serving"),
    html("dd", { class: "engine" }, engine),
    html(
      "dd",
      { class: "where" },
      workers.length === 0 ? "In the server's own process" : workers.map(whereabouts).join("; "),
    ),
  );
}

/** The button of a model, whatever it does now. @param {HTMLElement} models @param {string} name */
function focusModel(models, name) {
  const item = [...models.querySelectorAll("li")].find((child) => child.dataset.model === name);
  item?.querySelector("button")?.focus();
}

/** @param {any} worker */
function whereabouts({ name, state, pid, restarts, last_exit: lastExit }) {
  const parts = [`Worker ${name}`];
  if (pid) parts.push(`process ${pid}`);
  if (state !== "serving") parts.push(state);
  if (restarts > 0)
    parts.push(`restarted ${restarts === 1 ? "once" : `${restarts} times`}${lastExit ? ` (${lastExit})` : ""}`);
  return parts.join(", ");
}

/** @param {Place} place @param {boolean} changing @param {(place: Place, what: "load" | "unload") => void} change */
function modelRow(place, changing, change) {
  const { name, where, state, in_use: inUse, can_unload: canUnload, reason } = place;
  const shown = changing && state !== "loading" && state !== "unloading" ? "changing" : state;
  const item = html(
    "li",
    { class: "model", "data-model": name },
    html("span", {}, name),
    html("span", { class: "pill", "data-state": state }, shown),
  );
  if (state === "absent" || state === "failed" || canUnload) {
    const what = canUnload ? "unload" : "load";
    const label = canUnload ? "Unload" : "Load";
    const button = html(
      "button",
      { type: "button", class: "quiet", "aria-disabled": changing ? "true" : null, "aria-label": `${label} ${name}` },
      label,
    );
    button.addEventListener("click", () => changing || change(place, what));
    item.append(button);
  }
  if (changing || state === "loading" || state === "unloading") {
    item.append(html("span", { class: "progress", role: "progressbar", "aria-label": `${name}: ${shown}` }));
  }
  item.title = [where === "here" ? "" : where, inUse ? `in use by ${inUse}` : "", reason].filter(Boolean).join("; ");
  return item;
}

/**
 * What to do for better answers than the embedded engines give.
 * @param {any} health
 * @param {string} brain the language model that answered last, if any has
 * @param {Place[]} places
 */
function adviceFor(health, brain, places) {
  const { asr = "", llm = "", tts = "" } = health.engines ?? {};
  const hints = [];
  const others = new Set(
    places.filter(({ stage, name }) => stage === "llm" && name !== "alice").map(({ name }) => name),
  );
  if ((brain || llm) === "alice" && others.size > 0) {
    hints.push(html("p", {}, "A pattern bot answers. For real answers choose another language model above."));
  } else if (llm === "alice" && others.size === 0) {
    hints.push(
      html(
        "p",
        {},
        "A pattern bot answers, since no language model was found. For real answers start Ollama, LM Studio, llama.cpp or vLLM " +
          "on this computer and start the server again, or name one: ",
        html("code", {}, "antiphon serve --llm URL --model NAME"),
      ),
    );
  }
  if (asr.startsWith("moonshine:tiny") || tts.startsWith("pico")) {
    hints.push(
      html(
        "p",
        {},
        "The embedded recognizer and voice are small. ",
        html("code", {}, "antiphon models list"),
        " shows larger ones, ",
        html("code", {}, "antiphon models pull NAME"),
        " fetches one, and ",
        html("code", {}, "antiphon serve --asr NAME --tts NAME"),
        " uses it.",
      ),
    );
  }
  return hints;
}
