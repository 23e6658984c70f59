// When the agent takes its turn, and when it gives way.

import { check, group, row, select, slider } from "../lib/forms.js";

/** @param {import("../call.js").Call} call @returns {import("./settings.js").Group} */
export function turnsGroup(call) {
  const { preferences } = call;
  /** @param {Partial<import("../model/preferences.js").Values>} values */
  const change = (values) => {
    preferences.change(values);
    show();
    call.configure();
  };
  const silence = slider(
    "Silence that ends your turn",
    { min: 100, max: 1500, step: 50, value: preferences.all.silenceMs || 200 },
    (value) => `${value} ms`,
    (silenceMs) => change({ silenceMs }),
  );
  const eagerness = row(
    "How soon to answer",
    select(
      [
        { value: "high", label: "Soon" },
        { value: "auto", label: "As it seems right" },
        { value: "low", label: "Let me think" },
      ],
      preferences.all.eagerness,
      (value) => change({ eagerness: /** @type {"high" | "auto" | "low"} */ (value) }),
    ),
  );
  const turns = select(
    [
      { value: "server_vad", label: "After a fixed silence" },
      { value: "semantic_vad", label: "When my sentence is complete" },
    ],
    preferences.all.turns,
    (value) => change({ turns: /** @type {"server_vad" | "semantic_vad"} */ (value) }),
  );
  const interruptible = check(
    "I can interrupt",
    "Otherwise answers are always finished.",
    preferences.all.interruptible,
    (value) => change({ interruptible: value }),
  );
  const thoughts = check(
    "Show what it thinks",
    "Where it listens while you speak, and the server tells it.",
    preferences.all.thoughts,
    (value) => {
      preferences.change({ thoughts: value });
      call.dispatchEvent(new Event("captions"));
    },
  );
  const show = () => {
    silence.hidden = preferences.all.turns !== "server_vad";
    eagerness.hidden = preferences.all.turns !== "semantic_vad";
  };
  show();
  return {
    element: group("Turn-taking", row("The agent answers", turns), silence, eagerness, interruptible, thoughts),
    refresh: show,
  };
}
