// Microphone, speakers, and how to talk.

import { canChooseSpeaker } from "../audio/player.js";
import { check, fill, group, row, select } from "../lib/forms.js";
import { html } from "../lib/dom.js";

/** @param {import("../call.js").Call} call @returns {import("./settings.js").Group} */
export function soundGroup(call) {
  const { preferences } = call;
  const microphone = select([], "", (value) => {
    preferences.change({ microphone: value });
    void call.changeMicrophone();
  });
  const speaker = select([], "", (value) => {
    preferences.change({ speaker: value });
    void call.line?.chooseSpeaker(value);
  });
  const speakerRow = row("Speaker", speaker);
  speakerRow.hidden = !canChooseSpeaker();
  const note = html("p", { class: "note" }, "The names of the devices show once the microphone was allowed.");

  const refresh = async () => {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    note.hidden = devices.some(({ label }) => label !== "");
    fill(microphone, namesOf(devices, "audioinput"), preferences.all.microphone);
    fill(speaker, namesOf(devices, "audiooutput"), preferences.all.speaker);
  };
  navigator.mediaDevices?.addEventListener("devicechange", () => {
    void refresh();
    call.devicesChanged();
  });

  const echo = check(
    "Cancel echo",
    "Keeps the agent from hearing itself. Turn it off with headphones for the best sound.",
    preferences.all.echoCancellation,
    (echoCancellation) => {
      preferences.change({ echoCancellation });
      void call.changeMicrophone();
    },
  );
  const push = check(
    "Push to talk",
    "Hold the space bar, or the button, while you speak.",
    preferences.all.pushToTalk,
    (pushToTalk) => {
      preferences.change({ pushToTalk });
      call.mute(false);
      call.configure();
    },
  );
  return {
    element: group("Sound", row("Microphone", microphone), speakerRow, note, echo, push),
    refresh: () => void refresh(),
  };
}

/** @param {MediaDeviceInfo[]} devices @param {MediaDeviceKind} kind */
function namesOf(devices, kind) {
  const named = devices.filter(
    (device) => device.kind === kind && device.deviceId !== "" && device.deviceId !== "default",
  );
  return [
    { value: "", label: "The system's default" },
    ...named.map(({ deviceId, label }, index) => ({ value: deviceId, label: label || `Device ${index + 1}` })),
  ];
}
