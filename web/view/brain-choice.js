// Which language model answers: the choice among several, and how the one that was chosen stands.

import { html } from "../lib/dom.js";
import { fill, row, select } from "../lib/forms.js";

/** @param {import("../call.js").Call} call @returns {import("./settings.js").Group} */
export function brainChoice(call) {
  const { preferences, server } = call;
  const choice = select([], "", (value) => void choose(value));
  const loading = html("span", { class: "progress", role: "progressbar", "aria-label": "Loading", hidden: true });
  const said = html("p", { class: "note", role: "status" });
  const element = row("Language model", choice, loading, said);
  element.hidden = true;
  /** @type {string[]} the server's choice is the first */
  let models = [];
  let wishes = 0;

  /** @param {string} value empty for the server's choice */
  const choose = async (value) => {
    const wish = ++wishes;
    const model = value || models[0];
    preferences.change({ model: value });
    call.configure();
    loading.hidden = false;
    said.textContent = `Loading ${model}`;
    let outcome = `${model} gives the next answer.`;
    try {
      await server.json("/v1/antiphon/models/load", { model });
    } catch (error) {
      outcome = error instanceof Error ? error.message : String(error);
    }
    if (wish !== wishes) return;
    loading.hidden = true;
    said.textContent = outcome;
  };
  const refresh = async () => {
    try {
      const { data } = await server.json("/v1/models");
      models = data
        .filter((/** @type {{stage: string}} */ { stage }) => stage === "llm")
        .map((/** @type {{id: string}} */ { id }) => id);
    } catch {
      return; // without an answer there is nothing to choose from; what was there before stays
    }
    const usual = { value: "", label: `The server's choice (${models[0]})` };
    fill(choice, [usual, ...models.map((name) => ({ value: name, label: name }))], preferences.all.model);
    element.hidden = models.length < 2;
  };
  call.addEventListener("brain", () => {
    if (loading.hidden) said.textContent = `${call.brain} answers.`;
  });
  return { element, refresh: () => void refresh() };
}
