// What this person wants on this device, kept in the browser.

const KEY = "antiphon.preferences";

const DEFAULTS = {
  microphone: "",
  speaker: "",
  echoCancellation: true,
  pushToTalk: false,
  voice: "",
  model: "",
  speed: 1,
  instructions: "",
  turns: /** @type {"server_vad" | "semantic_vad"} */ ("server_vad"),
  silenceMs: 0, // 0 leaves it to the server
  eagerness: /** @type {"low" | "medium" | "high" | "auto"} */ ("auto"),
  interruptible: true,
  thoughts: false, // show what the agent thinks and does not say, where the server tells it
};

/** @typedef {typeof DEFAULTS} Values */

export class Preferences {
  constructor() {
    this.all = { ...DEFAULTS, ...read() };
  }

  /** @param {Partial<Values>} values */
  change(values) {
    this.all = { ...this.all, ...values };
    try {
      localStorage.setItem(KEY, JSON.stringify(this.all));
    } catch {
      // A browser that keeps nothing: they count until the page is closed.
    }
  }

  /** The session as these want it. */
  session() {
    const { voice, model, speed, instructions } = this.all;
    const output = voice === "" ? { speed } : { speed, voice };
    const input = { turn_detection: this.turnDetection(), transcription: {} };
    const wanted = instructions === "" ? {} : { instructions };
    return { ...wanted, antiphon: { model }, audio: { input, output } };
  }

  turnDetection() {
    const { pushToTalk, turns, silenceMs, eagerness, interruptible } = this.all;
    if (pushToTalk) return null;
    const detection = { type: turns, interrupt_response: interruptible };
    if (turns === "semantic_vad") return { ...detection, eagerness };
    return silenceMs === 0 ? detection : { ...detection, silence_duration_ms: silenceMs };
  }
}

/** @returns {Partial<Values>} */
function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}");
  } catch {
    return {};
  }
}
