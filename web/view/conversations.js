// The sheet of conversations: those of this browser that the server keeps, to go on with or to delete.

import { byId, html, icon } from "../lib/dom.js";
import { Problem } from "../model/problems.js";

const PATH = "/v1/antiphon/conversations";

/** @param {import("../call.js").Call} call */
export function showConversations(call) {
  const { later, server } = call;
  const { kept } = later;
  const opener = byId("open-conversations", HTMLButtonElement);
  const sheet = byId("conversations", HTMLDialogElement);
  const list = html("ul", { class: "kept", "aria-label": "Conversations of this browser" });
  const said = html("p", { class: "note", role: "status" });
  const anew = html("button", { type: "button", class: "firm" }, "New conversation");
  const closer = html(
    "button",
    { type: "button", class: "quiet", "aria-label": "Close the conversations" },
    icon("close"),
  );
  const note = "Only this browser knows which they are. The server keeps what was said, not the sound of it.";
  sheet.append(
    html("div", { class: "sheet-head" }, html("h2", { id: "conversations-title" }, "Conversations"), closer),
    html("section", { class: "group" }, anew, html("p", { class: "note" }, note), said, list),
  );
  let wanted = ""; // the one that is to be deleted, once that is said again

  const show = () => {
    opener.hidden = kept.all.length === 0 && later.id === "";
    list.replaceChildren(...kept.all.map(rowOf));
    anew.disabled = later.id === "" && call.conversation.entries.length === 0;
  };
  /** @param {import("../model/kept.js").KeptConversation} conversation */
  const rowOf = ({ id, title, at }) => {
    const current = id === later.id;
    const when = new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    const go = html("button", { type: "button", class: "quiet", "aria-label": `Go on with: ${title}` }, "Go on");
    go.hidden = current && call.active;
    go.addEventListener("click", () => {
      sheet.close();
      void later.goOn(id);
    });
    const sure = wanted === id;
    const away = html(
      "button",
      {
        type: "button",
        class: "quiet",
        "data-sure": sure,
        "aria-label": sure ? `Really delete: ${title}` : `Delete: ${title}`,
      },
      sure ? "Really delete" : "Delete",
    );
    away.addEventListener("click", () => void (sure ? remove(id, title) : ask(id)));
    const about = html("span", { class: "kept-about" }, current ? `${when} · this one` : when);
    return html(
      "li",
      { class: "kept-row", "data-id": id },
      html("span", { class: "kept-title" }, title),
      about,
      go,
      away,
    );
  };
  /** @param {string} id */
  const ask = (id) => {
    wanted = id;
    show();
    /** @type {HTMLElement | null} */ (list.querySelector(`[data-id="${CSS.escape(id)}"] [data-sure]`))?.focus();
  };
  /** @param {string} id @param {string} title */
  const remove = async (id, title) => {
    wanted = "";
    try {
      await server.delete(`${PATH}/${encodeURIComponent(id)}`);
      later.forget(id);
      said.textContent = `Deleted: ${title}`;
    } catch (error) {
      said.textContent = error instanceof Error ? error.message : String(error);
    }
    show();
    anew.disabled ? closer.focus() : anew.focus();
  };
  /** Leaves out what the server has no longer. */
  const refresh = async () => {
    const gone = async (/** @type {string} */ id) => {
      try {
        await server.json(`${PATH}/${encodeURIComponent(id)}`);
        return "";
      } catch (error) {
        return error instanceof Problem && error.kind === "not-kept" ? id : "";
      }
    };
    const others = kept.all.filter(({ id }) => id !== later.id); // which may not be written down yet
    for (const id of await Promise.all(others.map(({ id }) => gone(id)))) if (id !== "") kept.forget(id);
    show();
  };
  opener.addEventListener("click", () => {
    wanted = "";
    said.textContent = "";
    show();
    sheet.showModal();
    sheet.scrollTop = 0;
    void refresh();
  });
  closer.addEventListener("click", () => sheet.close());
  anew.addEventListener("click", () => {
    sheet.close();
    void later.beginAnew();
  });
  // A press beside the sheet closes it.
  sheet.addEventListener("pointerdown", (event) => {
    if (event.target === sheet && event.clientX < sheet.getBoundingClientRect().left) sheet.close();
  });
  for (const change of ["kept", "captions", "phase"]) call.addEventListener(change, show);
  show();
}
