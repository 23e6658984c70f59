// The conversation beyond this call: by what it can be gone on with, and those of this browser that were kept before.

import { Kept } from "./model/kept.js";

export class Later {
  /** @param {import("./call.js").Call} call */
  constructor(call) {
    this._call = call;
    this.kept = new Kept();
    this.id = ""; // of the conversation, where the server keeps it
  }

  /** The server keeps the conversation by this id. @param {string} id */
  named(id) {
    this.id = id;
    this._call.changed("kept");
  }

  /** Something was said: it is one of this browser's as soon as the user has. */
  note() {
    if (this.id === "") return;
    const { entries } = this._call.conversation;
    const first = entries.find(({ role }) => role === "user");
    if (first === undefined || first.open || first.certain.trim() === "") return; // it is not all there yet
    this.kept.note(this.id, first.certain);
    this._call.changed("kept");
  }

  /** Goes on with a conversation that was kept. @param {string} id */
  async goOn(id) {
    const call = this._call;
    if (call.active) await call.stop();
    this.id = id;
    call.forgetWords();
    await call.start({ voice: true });
    const problem = call.problem;
    if (!problem?.words.typing) return;
    await call.start({ voice: false }); // what was said is there to be read, and can be answered in writing
    if (call.problem === null) call.tell(problem);
  }

  /** Leaves the conversation; what is said next begins another. */
  async beginAnew() {
    const call = this._call;
    if (call.active) await call.stop();
    this.id = "";
    call.forgetTimes();
    call.forgetWords();
    call.changed("kept");
  }

  /** A conversation was deleted; if it is this one, the next begins anew. @param {string} id */
  forget(id) {
    this.kept.forget(id);
    if (id === this.id) this.id = "";
    this._call.changed("kept");
  }
}
