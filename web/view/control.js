// The one large control, the words below it, and the levels.

import { byId, icon } from "../lib/dom.js";
import { inWords, isHandOver } from "../model/tool-runs.js";

/** @typedef {import("../call.js").Call} Call */
/** @typedef {import("../call.js").Phase} Phase */

/** @type {Record<Phase, {state: string, hint: string}>} */
const WORDS = {
  idle: { state: "Talk", hint: "Press to start. You can interrupt at any time." },
  connecting: { state: "Connecting", hint: "You can speak already." },
  ready: { state: "Ready", hint: "Say something." },
  listening: { state: "Listening", hint: "Go on." },
  thinking: { state: "Thinking", hint: "One moment." },
  speaking: { state: "Speaking", hint: "Speak to interrupt." },
  interrupted: { state: "Interrupted", hint: "It waits for you." },
  reconnecting: { state: "Connecting again", hint: "The server is out of reach." },
  error: { state: "Stopped", hint: "Press to try again." },
};

/** @type {Partial<Record<Phase, string>>} the hints where there is no microphone */
const BY_HAND = { connecting: "One moment.", ready: "Type a message.", speaking: "Type to interrupt." };

/** @param {Call} call */
export function showControl(call) {
  const control = byId("control", HTMLButtonElement);
  const state = byId("state", HTMLElement);
  const hint = byId("hint", HTMLElement);
  const mute = byId("mute", HTMLButtonElement);
  const levelIn = byId("level-in", HTMLElement);
  const levelOut = byId("level-out", HTMLElement);

  control.addEventListener("click", () => void (call.active ? call.stop() : call.start({ voice: true })));

  const show = () => {
    const phase = phaseOf(call);
    document.body.dataset.phase = phase;
    document.body.dataset.voice = String(call.voice);
    const words = WORDS[phase];
    state.textContent = words.state;
    hint.textContent = hintOf(call, words.hint);
    control.setAttribute("aria-label", call.active ? "Stop the conversation" : "Start talking");
    if (call.active) watchLevels();
  };
  const showMute = () => {
    const { pushToTalk } = call.preferences.all;
    mute.setAttribute("aria-pressed", String(pushToTalk ? call.input.holding : call.input.muted));
    const label = pushToTalk ? "Hold to talk" : call.input.muted ? "Unmute" : "Mute";
    mute.replaceChildren(
      icon(call.input.muted ? "mic-off" : "mic"),
      Object.assign(document.createElement("span"), { textContent: label }),
    );
    hint.textContent = hintOf(call, WORDS[call.phase].hint);
  };

  let watching = false;
  const watchLevels = () => {
    if (watching) return;
    watching = true;
    requestAnimationFrame(drawLevels);
  };
  const drawLevels = () => {
    const [input, output] = [call.input.meter.tick(), call.output.tick()];
    control.style.setProperty("--in", input.toFixed(3));
    control.style.setProperty("--out", output.toFixed(3));
    levelIn.style.setProperty("--level", input.toFixed(3));
    levelOut.style.setProperty("--level", output.toFixed(3));
    watching = call.active || input > 0 || output > 0;
    if (watching) requestAnimationFrame(drawLevels);
  };

  mute.addEventListener("click", () => {
    if (!call.preferences.all.pushToTalk) call.mute(!call.input.muted);
  });
  mute.addEventListener("pointerdown", (event) => {
    mute.setPointerCapture(event.pointerId);
    call.asking.hold(true);
  });
  for (const end of ["pointerup", "pointercancel"]) mute.addEventListener(end, () => call.asking.hold(false));
  holdBySpace(call);

  call.addEventListener("phase", show);
  call.addEventListener("input", () => {
    show();
    showMute();
  });
  call.addEventListener("tool", show);
  show();
  showMute();
}

/** While the key of push-to-talk is held it listens, which the server does not judge then. @param {Call} call */
function phaseOf({ phase, input }) {
  return phase === "ready" && input.holding ? "listening" : phase;
}

/** @param {Call} call @param {string} usual */
function hintOf(call, usual) {
  if (!call.active) return usual;
  const run = call.tools.newest;
  if (call.phase === "thinking" && run !== undefined && !isHandOver(run.name)) {
    return run.text === "" ? `${inWords(run.name)} runs.` : `${inWords(run.name)}: ${run.text}`;
  }
  if (!call.voice || (call.input.track === null && call.phase !== "connecting")) return BY_HAND[call.phase] ?? usual;
  if (call.preferences.all.pushToTalk) {
    return call.input.holding ? "Let go to send." : "Hold the space bar, or the button, to talk.";
  }
  return call.input.muted ? "Your microphone is muted." : usual;
}

/** With push-to-talk the space bar is the key to hold, except where it writes. @param {Call} call */
function holdBySpace(call) {
  /** @param {KeyboardEvent} event */
  const meant = (event) =>
    event.code === "Space" &&
    call.active &&
    call.preferences.all.pushToTalk &&
    !(event.target instanceof Element && event.target.closest("input, textarea, select, dialog"));
  document.addEventListener("keydown", (event) => {
    if (!meant(event)) return;
    event.preventDefault();
    if (!event.repeat) call.asking.hold(true);
  });
  document.addEventListener("keyup", (event) => {
    if (!meant(event)) return;
    event.preventDefault();
    call.asking.hold(false);
  });
  window.addEventListener("blur", () => call.asking.hold(false));
}
