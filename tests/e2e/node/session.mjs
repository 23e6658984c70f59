// A RealtimeSession of the Agents SDK with a microphone, and waiting for its events.

import { readFileSync } from 'node:fs';
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession, tool } from '@openai/agents-realtime';
import { z } from 'zod';

const RATE_HZ = 24000;
const CHUNK_MS = 40;
const CHUNK_BYTES = (RATE_HZ * 2 * CHUNK_MS) / 1000;

export const getWeather = tool({
  name: 'get_weather',
  description: 'Get the current weather in a city',
  parameters: z.object({ city: z.string().describe('The name of the city') }),
  execute: async ({ city }) => `It is cloudy in ${city}.`,
});

/** What happened, in order; `until` resolves with the first entry that matches and rejects with any error. */
class Log {
  entries = [];
  #waiting = new Set();
  #failure = null;

  constructor(patienceMs) {
    this.patienceMs = patienceMs;
  }

  add(entry) {
    this.entries.push(entry);
    for (const wake of [...this.#waiting]) wake();
  }

  fail(reason) {
    this.#failure ??= reason;
    for (const wake of [...this.#waiting]) wake();
  }

  until(what, matches, since = 0) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.entries.slice(since).find(matches);
        if (!found && !this.#failure) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        if (found) resolve(found);
        else reject(new Error(`the session reports an error: ${this.#failure}`));
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const last = this.entries.slice(-12).map((entry) => entry.type);
        reject(new Error(`no ${what} in time; the last that came: ${last}`));
      }, this.patienceMs);
      this.#waiting.add(look);
      look();
    });
  }
}

/** Speaks 40 ms at a time at the pace of real time; silence where nothing is said. */
class Microphone {
  #waiting = Buffer.alloc(0);
  #done = () => {};

  constructor(send) {
    const began = Date.now();
    let sent = 0;
    this.timer = setInterval(() => {
      for (; sent * CHUNK_MS <= Date.now() - began; sent += 1) {
        const chunk = Buffer.alloc(CHUNK_BYTES);
        this.#waiting.copy(chunk);
        this.#waiting = this.#waiting.subarray(CHUNK_BYTES);
        send(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + CHUNK_BYTES));
        if (this.#waiting.length === 0) this.#done();
      }
    }, CHUNK_MS / 2);
  }

  /** Resolves when the last of the file (mono s16 at 24 kHz) has been sent. */
  say(file) {
    this.#waiting = Buffer.concat([this.#waiting, readFileSync(file)]);
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  stop() {
    clearInterval(this.timer);
  }
}

/** Connects, runs `body({session, log, microphone})`, and disconnects whatever comes of it. */
export async function converse(url, patienceMs, body) {
  const agent = new RealtimeAgent({ name: 'Assistant', instructions: 'Be brief.', tools: [getWeather] });
  const transport = new OpenAIRealtimeWebSocket({ url: `${url}?model=antiphon`, useInsecureApiKey: true });
  const session = new RealtimeSession(agent, { transport, model: 'antiphon', tracingDisabled: true });
  const log = new Log(patienceMs);
  session.on('error', ({ error }) => log.fail(JSON.stringify(error) ?? String(error)));
  session.on('audio', ({ data }) => log.add({ type: 'audio', bytes: data.byteLength }));
  session.on('audio_interrupted', () => log.add({ type: 'audio_interrupted' }));
  session.on('agent_start', () => log.add({ type: 'agent_start' }));
  session.on('agent_end', (context, from, output) => log.add({ type: 'agent_end', output }));
  session.on('agent_tool_end', (context, from, called, result) => log.add({ type: 'tool_end', name: called.name, result }));
  session.on('history_updated', (history) => log.add({ type: 'history', history: structuredClone(history) }));
  let microphone;
  try {
    await session.connect({ apiKey: 'none' });
    microphone = new Microphone((audio) => session.sendAudio(audio));
    return await body({ session, log, microphone });
  } finally {
    microphone?.stop();
    session.close();
  }
}

/** All that an item of the history says. */
export function said(item) {
  return (item.content ?? []).map((part) => part.transcript ?? part.text ?? '').join(' ');
}

/** Waits until an item of the history matches; resolves with that item. */
export async function untilHistory(log, what, matches, since = 0) {
  const holds = (entry) => entry.type === 'history' && entry.history.some(matches);
  const entry = await log.until(what, holds, since);
  return entry.history.find(matches);
}
