// The page's modules that know no browser: run by test_modules.py.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Playback } from "../../web/audio/playback.js";
import { Resampler } from "../../web/audio/resampler.js";
import { Later } from "../../web/later.js";
import { comeBack } from "../../web/line/come-back.js";
import { HeardQueue } from "../../web/line/heard-queue.js";
import { SentAudio } from "../../web/line/sent-audio.js";
import { Conversation } from "../../web/model/conversation.js";
import { Kept } from "../../web/model/kept.js";
import { Problem } from "../../web/model/problems.js";
import { spans, Timings, totalMs } from "../../web/model/timings.js";
import { inWords, isHandOver, ToolRuns } from "../../web/model/tool-runs.js";
import { WayToEar } from "../../web/model/way.js";
import { ticks } from "../../web/view/waterfall.js";

const RATE = 24000;

function tone(length, hz, rate) {
  return Float32Array.from({ length }, (_, index) => Math.sin((2 * Math.PI * hz * index) / rate));
}

for (const from of [48000, 44100, 24000, 16000]) {
  test(`a tone of 1 kHz at ${from} Hz is the same tone at 24 kHz, whole or in pieces`, () => {
    const input = tone(from, 1000, from);
    const whole = new Resampler(from, RATE).push(input);
    const resampler = new Resampler(from, RATE);
    const pieces = [];
    for (let at = 0; at < input.length; at += 128) pieces.push(...resampler.push(input.subarray(at, at + 128)));
    assert.deepEqual(pieces, [...whole]);
    assert.ok(Math.abs(whole.length - RATE) < 60);
    const expected = tone(whole.length, 1000, RATE);
    const inside = [...whole.keys()].slice(100, -100);
    assert.ok(Math.max(...inside.map((index) => Math.abs(whole[index] - expected[index]))) < 0.02);
  });
}

test("what 24 kHz cannot hold is taken out, not folded", () => {
  const output = new Resampler(48000, RATE).push(tone(48000, 15000, 48000));
  assert.ok(Math.max(...output.subarray(100).map(Math.abs)) < 0.01);
});

function pcm(length, value = 8000) {
  return new Int16Array(length).fill(value).buffer;
}

test("playback waits for two frames, fades in, and counts what was heard", () => {
  const playback = new Playback(RATE);
  const block = new Float32Array(480);
  playback.obey({ kind: "push", reply: "a", pcm: pcm(480) });
  assert.equal(playback.fill(block), null);
  assert.equal(playback.played, 0);
  playback.obey({ kind: "push", reply: "a", pcm: pcm(480) });
  assert.equal(playback.fill(block), 0);
  assert.equal(playback.played, 480);
  assert.ok(block[0] < block[60] && block[60] < block[200]);
});

test("playback that is held goes on from the same place", () => {
  const playback = new Playback(RATE);
  const block = new Float32Array(240);
  playback.obey({ kind: "push", reply: "a", pcm: pcm(2400) });
  playback.fill(block);
  playback.obey({ kind: "hold" });
  playback.fill(block);
  const heard = playback.played;
  assert.ok(heard <= 480);
  playback.fill(block);
  assert.equal(playback.played, heard);
  assert.equal(Math.max(...block), 0);
  playback.obey({ kind: "release" });
  playback.fill(block);
  assert.equal(playback.played, heard + 240);
});

test("what is dropped is not heard, and the next reply counts anew", () => {
  const playback = new Playback(RATE);
  const block = new Float32Array(240);
  playback.obey({ kind: "push", reply: "a", pcm: pcm(2400) });
  playback.fill(block);
  playback.obey({ kind: "drop" });
  assert.equal(playback.fill(block), null);
  assert.equal(Math.max(...block), 0);
  playback.obey({ kind: "push", reply: "b", pcm: pcm(2400) });
  assert.equal(playback.fill(block), 0);
  assert.deepEqual([playback.reply, playback.played], ["b", 240]);
});

test("a short reply is played when it has ended", () => {
  const playback = new Playback(RATE);
  const block = new Float32Array(480);
  playback.obey({ kind: "push", reply: "a", pcm: pcm(240) });
  playback.obey({ kind: "end", reply: "a" });
  playback.fill(block);
  assert.equal(playback.played, 240);
});

test("words wait for their place", () => {
  const queue = new HeardQueue();
  queue.push("one", 100);
  queue.push("two", 200);
  assert.deepEqual(queue.until(150), ["one"]);
  assert.equal(queue.next, 200);
  queue.drop();
  assert.deepEqual(queue.until(Infinity), []);
});

test("a place of the user's audio has its time", () => {
  const sent = new SentAudio();
  for (let piece = 1; piece <= 10; piece++) sent.add(0.02, 1000 + piece * 20);
  assert.equal(Math.round(sent.capturedAt(50)), 1050);
  assert.equal(sent.capturedAt(201), undefined);
  sent.forget();
  assert.equal(sent.capturedAt(50), undefined);
});

const CUT = [
  { type: "input_audio_buffer.speech_started", item_id: "u" },
  { type: "conversation.item.input_audio_transcription.delta", item_id: "u", delta: "Tell me" },
  { type: "conversation.item.input_audio_transcription.completed", item_id: "u", transcript: "Tell me a story." },
  { type: "antiphon.voice", response_id: "r", item_id: "a", voice: "pico" },
  { type: "antiphon.clause", response_id: "r", item_id: "a", text: "Once there was " },
  { type: "antiphon.clause", response_id: "r", item_id: "a", text: "a keeper." },
  { type: "response.output_audio_transcript.delta", response_id: "r", item_id: "a", delta: "Once there" },
];

test("an answer that is cut keeps what was heard and what was not", () => {
  const conversation = new Conversation();
  for (const event of CUT) conversation.take(event);
  const [user, agent] = conversation.entries;
  assert.deepEqual([user.certain, user.open], ["Tell me a story.", false]);
  assert.deepEqual([agent.certain, agent.coming, agent.speaker], ["Once there", " was a keeper.", "pico"]);
  conversation.take({ type: "response.done", response: { id: "r", status: "cancelled" } });
  assert.deepEqual([agent.cut, agent.certain, agent.coming], [true, "Once there", " was a keeper."]);
});

test("who speaks is shown as soon as it is known, and several by what each said", () => {
  const conversation = new Conversation();
  const segment = (item_id, speaker, text) => ({
    type: "conversation.item.input_audio_transcription.segment", item_id, speaker, text,
  });
  conversation.take({ type: "input_audio_buffer.speech_started", item_id: "u", audio_start_ms: 0 });
  assert.equal(conversation.entries[0].speaker, "");
  conversation.take({ type: "antiphon.speaker", item_id: "u", speaker: "Ann" });
  assert.equal(conversation.entries[0].speaker, "Ann");
  conversation.take(segment("u", "Ann", "Is it late?"));
  conversation.take(segment("u", "Speaker 1", "Not yet."));
  conversation.take({
    type: "conversation.item.input_audio_transcription.completed", item_id: "u", transcript: "Is it late? Not yet.",
  });
  const [entry] = conversation.entries;
  assert.deepEqual([entry.speaker, entry.certain, entry.open], ["Ann, Speaker 1", "Is it late? Not yet.", false]);
  assert.deepEqual(entry.parts.map(({ text }) => text), ["Is it late?", "Not yet."]);
});

test("a sound without words leaves nothing behind", () => {
  const conversation = new Conversation();
  conversation.take(CUT[0]);
  assert.equal(conversation.entries.length, 1);
  conversation.take({ type: CUT[2].type, item_id: "u", transcript: "" });
  assert.deepEqual(conversation.entries, []);
});

test("a thought goes on until something else is said", () => {
  const conversation = new Conversation();
  conversation.take({ type: "antiphon.thought", text: "She asks " });
  conversation.take({ type: "antiphon.thought", text: "me." });
  conversation.take({ type: "antiphon.clause", response_id: "r", item_id: "a", text: "Yes." });
  conversation.take({ type: "antiphon.thought", text: "Done." });
  assert.deepEqual(
    conversation.entries.map(({ role, certain, coming }) => [role, certain + coming]),
    [
      ["mind", "She asks me."],
      ["agent", "Yes."],
      ["mind", "Done."],
    ],
  );
});

test("a failed answer says why", () => {
  const conversation = new Conversation();
  const details = { error: { message: "The model is away." } };
  conversation.take({ type: "response.done", response: { id: "r", status: "failed", status_details: details } });
  assert.equal(conversation.entries[0].failure, "The model is away.");
});

/** News of a tool. */
function told(status, text = "", name = "find_tour", call_id = "c") {
  return { type: "antiphon.tool", call_id, name, status, text };
}

test("a tool is told from its beginning to its end", () => {
  const tools = new ToolRuns();
  tools.take(told("running"), 100);
  tools.take(told("progress", "asking"), 300);
  assert.deepEqual([tools.newest.name, tools.newest.text], ["find_tour", "asking"]);
  tools.take(told("running", "", "look", "d"), 350);
  assert.equal(tools.newest.name, "look");
  const run = tools.take(told("completed"), 900);
  assert.deepEqual([run.status, run.beganAt, run.endedAt, run.steps], ["completed", 100, 900, [{ text: "asking", at: 300 }]]);
  tools.take({ type: "antiphon.agent", agent: "night_desk" }, 950);
  assert.equal(inWords(tools.agent), "Night desk");
  tools.close();
  assert.equal(tools.newest, undefined);
  assert.ok(isHandOver("transfer_to_billing"));
});

test("the time of a tool is shown by its steps, and until it is told", () => {
  const tools = new ToolRuns();
  const timings = new Timings();
  assert.equal(timings.worded(1), false);
  tools.take(told("running"), 100);
  tools.take(told("progress", "asking the tour office of the museum"), 300);
  timings.ran(tools.take(told("failed", "no answer"), 900));
  assert.equal(timings.worded(1000), true);
  const [run] = timings.all;
  assert.equal(totalMs(run), 800);
  assert.deepEqual(
    spans(run).map(({ name, fromMs, toMs }) => [name, fromMs, toMs]),
    [
      ["Ran, and failed", 0, 800],
      ["asking the tour offic\u2026", 200, 800],
      ["Until it is told", 800, 900],
    ],
  );
  assert.equal(timings.percentile(50), null, "it is no answer");
});

test("captions say what tools do and who answers from here on", () => {
  const conversation = new Conversation();
  conversation.take({ type: "antiphon.agent", agent: "desk" });
  conversation.take(told("running"));
  conversation.take(told("progress", "asking"));
  const [tool] = conversation.entries;
  assert.deepEqual([tool.certain, tool.status, tool.coming, tool.open], ["find_tour", "running", "asking", true]);
  conversation.take(told("failed", "no answer"));
  assert.deepEqual([tool.status, tool.coming, tool.failure, tool.open], ["failed", "", "no answer", false]);
  conversation.take(told("running", "", "transfer_to_night", "d"));
  conversation.take({ type: "antiphon.agent", agent: "night" });
  conversation.take({ type: "antiphon.agent", agent: "night" });
  conversation.take({ type: "antiphon.clause", response_id: "r", item_id: "a", text: "Yes." });
  assert.deepEqual(
    conversation.entries.map(({ role, agent }) => [role, agent]),
    [
      ["tool", ""],
      ["change", "night"],
      ["agent", "night"],
    ],
  );
  conversation.take(told("running", "", "look", "e"));
  conversation.close();
  assert.equal(conversation.entries.at(-1).status, "cancelled", "nothing more is told of it");
});

test("a conversation that goes on begins with what was said", () => {
  const conversation = new Conversation();
  const done = (item) => {
    conversation.take({ type: "conversation.item.added", item });
    conversation.take({ type: "conversation.item.done", item });
  };
  conversation.take({ type: "antiphon.conversation", conversation_id: "conv_1", items: 4 });
  done({ id: "u", type: "message", role: "user", content: [{ type: "input_audio", transcript: "Hello." }] });
  done({ id: "f", type: "function_call", name: "look", call_id: "c" });
  done({ id: "o", type: "function_call_output", call_id: "c", output: '{"error":"It failed."}' });
  done({ id: "a", type: "message", role: "assistant", content: [{ type: "output_audio", transcript: "Sorry." }] });
  done({ id: "v", type: "message", role: "assistant", content: [{ type: "output_audio", transcript: "later" }] });
  assert.deepEqual(
    conversation.entries.map(({ role, certain, status }) => [role, certain, status]),
    [
      ["user", "Hello.", ""],
      ["tool", "look", "failed"],
      ["agent", "Sorry.", ""],
    ],
  );
});

test("the conversations of a browser are kept in its own store, the newest first", () => {
  const store = new Map([["antiphon.conversations", '{"not": "a list"}']]);
  globalThis.localStorage = { getItem: (key) => store.get(key) ?? null, setItem: (key, value) => store.set(key, value) };
  const kept = new Kept();
  assert.deepEqual(kept.all, []);
  kept.note("conv_1", "  Good   morning. ");
  kept.note("conv_2", "x".repeat(100));
  kept.note("conv_1", "What it began with stays.");
  assert.deepEqual(
    new Kept().all.map(({ id, title }) => [id, title.length]),
    [
      ["conv_1", 13],
      ["conv_2", 60],
    ],
  );
  kept.forget("conv_1");
  for (let number = 3; number < 60; number++) kept.note(`conv_${number}`, "more");
  assert.deepEqual([kept.all.length, kept.all[0].id], [30, "conv_59"]);
});

const MARKS = { speech_end: 0, recognizer_final: 90, brain_started: 92, brain_first_token: 95, first_clause: 110 };
const TURN = {
  type: "antiphon.turn",
  item_id: "u",
  response_id: "r",
  ahead: true,
  marks: { ...MARKS, voice_started: 110, voice_first_audio: 120, turn_ended: 200, first_sample: 201, first_sound: 206 },
};

test("the parts of a turn are those of its marks, and the way to the ear comes last", () => {
  const timings = new Timings();
  timings.take(TURN);
  assert.equal(timings.heard("r", 54), true);
  const [turn] = timings.all;
  assert.equal(totalMs(turn), 260);
  assert.deepEqual(
    spans(turn).map(({ fromMs, toMs }) => [fromMs, toMs]),
    [
      [0, 200],
      [0, 90],
      [92, 95],
      [95, 110],
      [110, 120],
      [200, 206],
      [206, 260],
    ],
  );
});

test("percentiles are of whole answers", () => {
  const timings = new Timings();
  assert.equal(timings.percentile(50), null);
  for (let number = 1; number <= 20; number++) {
    timings.take({ ...TURN, response_id: `r${number}`, marks: { first_sound: number * 10 } });
  }
  assert.deepEqual([timings.percentile(50), timings.percentile(95)], [100, 190]);
});

test("the way is measured by the user's own audio where its places are known, else by the news", () => {
  const line = { capturedAt: () => 1000, wayMs: 0 };
  const way = new WayToEar();
  way.take({ type: "input_audio_buffer.speech_stopped", item_id: "u", audio_end_ms: 500 }, 1150);
  way.take(TURN, 1210);
  assert.equal(way.measured(line), null, "nothing was heard yet");
  way.sounded(1260);
  assert.deepEqual(way.measured(line), { response: "r", ms: 54 });
  assert.equal(way.measured(line), null, "once");
  way.take(TURN, 2000);
  way.sounded(2030);
  assert.deepEqual(way.measured({ capturedAt: () => undefined, wayMs: 22 }), { response: "r", ms: 52 });
});

test("an axis has round figures and its zero", () => {
  assert.deepEqual(ticks(0, 412), [0, 100, 200, 300, 400]);
  assert.deepEqual(ticks(-60, 300), [0, 100, 200, 300]);
});

/** Comes back over a line whose tries end as the list says. */
function back(...tries) {
  globalThis.window = new EventTarget();
  const resume = async () => {
    const failure = tries.shift();
    setTimeout(() => window.dispatchEvent(new Event("online")));
    if (failure) throw failure;
  };
  const parts = { server: { health: async () => ({}) }, line: { resume }, wanted: () => true };
  return comeBack({ token: "token", waitsMs: 60_000 }, parts);
}

test("a session that waits is taken up, also when its server must be asked again", async () => {
  assert.equal(await back(null), true);
  assert.equal(await back(new Problem("full"), new Problem("unreachable"), null), true);
});

test("a session that is over is not asked for again", async () => {
  await assert.rejects(back(new Error("404")), { kind: "ended" });
  await assert.rejects(back(new Problem("ended")), { kind: "ended" });
});

test("a conversation is named by all of the user's first turn, also when a greeting ends within it", () => {
  const conversation = new Conversation();
  const later = new Later({ conversation, changed() {} });
  later.named("conv");
  conversation.take({ type: "conversation.item.input_audio_transcription.delta", item_id: "a", delta: "What is" });
  later.note(); // the greeting is over
  assert.equal(titleOf(later, "conv"), undefined);
  const transcript = "What is your favourite movie?";
  conversation.take({ type: "conversation.item.input_audio_transcription.completed", item_id: "a", transcript });
  later.note();
  assert.equal(titleOf(later, "conv"), transcript);
});

function titleOf({ kept }, wanted) {
  return kept.all.find(({ id }) => id === wanted)?.title;
}
