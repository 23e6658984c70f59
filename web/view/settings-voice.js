// Who answers, and how.

import { html } from "../lib/dom.js";
import { fill, group, row, select, slider } from "../lib/forms.js";
import { brainChoice } from "./brain-choice.js";

/** @param {import("../call.js").Call} call @returns {import("./settings.js").Group} */
export function voiceGroup(call) {
  const { preferences } = call;
  const voice = select([], "", (value) => {
    preferences.change({ voice: value });
    call.configure();
  });
  const brain = brainChoice(call);
  const speed = slider(
    "Speed",
    { min: 0.5, max: 1.5, step: 0.05, value: preferences.all.speed },
    (value) => `${value.toFixed(2)} ×`,
    (value) => {
      preferences.change({ speed: value });
      call.configure();
    },
  );
  const instructions = html("textarea", {
    class: "field",
    rows: 3,
    maxlength: 20000,
    placeholder: "Who the agent is, and how it should speak",
  });
  instructions.value = preferences.all.instructions;
  instructions.addEventListener("change", () => {
    preferences.change({ instructions: instructions.value.trim() });
    call.configure();
  });

  const refresh = async () => {
    brain.refresh();
    try {
      const voices = await call.server.json("/v1/audio/voices");
      fill(voice, voicesOf(voices.data, call), preferences.all.voice);
    } catch {
      // Without an answer there is nothing to choose from; what was there before stays.
    }
  };
  return {
    element: group("Answers", row("Voice", voice), brain.element, speed, row("Instructions", instructions)),
    refresh: () => void refresh(),
  };
}

/** @param {{id: string, language: string}[]} voices @param {import("../call.js").Call} call */
function voicesOf(voices, call) {
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const usual = call.session?.audio?.output?.voice ?? voices[0]?.id ?? "";
  return [
    { value: "", label: `The server's choice (${usual})` },
    ...voices.map(({ id, language }) => {
      const [engine, name] = id.includes(":")
        ? [id.slice(0, id.indexOf(":")), id.slice(id.indexOf(":") + 1)]
        : ["", id];
      return { value: id, label: `${name} – ${spoken(names, language)}`, group: engine || "Voices" };
    }),
  ];
}

/** @param {Intl.DisplayNames} names @param {string} language */
function spoken(names, language) {
  try {
    return names.of(language) ?? language;
  } catch {
    return language;
  }
}
