// Puts the page together.

import { Call } from "./call.js";
import { byId } from "./lib/dom.js";
import { Preferences } from "./model/preferences.js";
import { Server } from "./server.js";
import { showAside } from "./view/aside.js";
import { showCaptions } from "./view/captions.js";
import { showControl } from "./view/control.js";
import { showConversations } from "./view/conversations.js";
import { showProblem } from "./view/problem.js";
import { showServed } from "./view/served.js";
import { showSettings } from "./view/settings.js";
import { showTiming } from "./view/timing.js";

const server = new Server();
const call = new Call(server, new Preferences());

showControl(call);
showCaptions(call);
showTiming(call);
showProblem(call);
showSettings(call);
showServed(call);
showAside(call);
showConversations(call);

for (const name of ["conversation", "timing"]) {
  byId(`tab-${name}`, HTMLButtonElement).addEventListener("click", () => {
    document.body.dataset.tab = name;
    for (const tab of document.querySelectorAll(".tab")) {
      tab.setAttribute("aria-pressed", String(tab.id === `tab-${name}`));
    }
  });
}

window.addEventListener("pagehide", () => void call.stop());
