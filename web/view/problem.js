// What went wrong, and the question for a key.

import { byId, html } from "../lib/dom.js";

/** @param {import("../call.js").Call} call */
export function showProblem(call) {
  const box = byId("problem", HTMLElement);
  const dialog = byId("key-dialog", HTMLDialogElement);
  const form = byId("key-form", HTMLFormElement);
  const field = byId("key-field", HTMLInputElement);

  const show = () => {
    const { problem } = call;
    box.hidden = problem === null;
    if (problem === null) return;
    const { title, advice, typing } = problem.words;
    const text = typing ? `${advice} You can still type.` : advice;
    box.replaceChildren(html("strong", {}, title), html("p", {}, text));
    if (problem.kind === "key") ask();
  };
  const ask = () => {
    if (dialog.open) return;
    const again = call.server.key !== "";
    byId("key-advice", HTMLElement).textContent = again
      ? "The one that was entered is not right."
      : "It is the one that the server was started with. It is kept until you close this tab.";
    field.value = "";
    dialog.showModal();
  };
  form.addEventListener("submit", () => {
    call.server.key = field.value.trim();
    void call.start({ voice: call.voice });
  });
  byId("key-cancel", HTMLButtonElement).addEventListener("click", () => dialog.close());
  call.addEventListener("problem", show);
}
