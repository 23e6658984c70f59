// node conversation.mjs SCENARIO URL PATIENCE_MS [FILE...]: prints what came of it as one line of JSON.

import { converse, said, untilHistory } from './session.mjs';

const [scenario, url, patienceMs, ...files] = process.argv.slice(2);

const by = (role, pattern) => (item) => item.type === 'message' && item.role === role && pattern.test(said(item));

const scenarios = {
  async typed({ session, log }) {
    session.sendMessage('What is the capital of France?');
    await log.until('agent_start', ({ type }) => type === 'agent_start');
    const question = await untilHistory(log, 'question', by('user', /capital of France/));
    const answer = await untilHistory(log, 'answer', by('assistant', /Paris/));
    const end = await log.until('agent_end', ({ type }) => type === 'agent_end');
    await log.until('audio', ({ type }) => type === 'audio');
    const bytes = log.entries.reduce((sum, { bytes = 0 }) => sum + bytes, 0);
    return { question: said(question), answer: said(answer), end: end.output, bytes };
  },

  async tool({ session, log }) {
    session.sendMessage('What is the weather in Paris?');
    const call = await log.until('tool_end', ({ type }) => type === 'tool_end');
    const answer = await untilHistory(log, 'answer', by('assistant', /cloudy/));
    await log.until('agent_end', ({ type, output }) => type === 'agent_end' && /cloudy/.test(output));
    return { name: call.name, result: call.result, answer: said(answer) };
  },

  async spoken({ log, microphone }) {
    await microphone.say(files[0]);
    const statement = await untilHistory(log, 'statement', by('user', /\w/));
    await log.until('agent_end', ({ type }) => type === 'agent_end');
    const since = log.entries.length;
    await microphone.say(files[1]);
    const question = await untilHistory(log, 'question', (i) => i.itemId !== statement.itemId && by('user', /\w/)(i), since);
    const answer = await untilHistory(log, 'answer', by('assistant', /Peter/), since);
    await log.until('agent_end', ({ type }) => type === 'agent_end', since);
    return { statement: said(statement), question: said(question), answer: said(answer) };
  },

  async interrupted({ session, log, microphone }) {
    session.sendMessage('What can you do?');
    const end = await log.until('agent_end', ({ type }) => type === 'agent_end');
    const whole = await untilHistory(log, 'whole reply', by('assistant', /\w/));
    const since = log.entries.length;
    await microphone.say(files[0]);
    await log.until('audio_interrupted', ({ type }) => type === 'audio_interrupted', since);
    const shorter = (item) => item.itemId === whole.itemId && said(item).length < 0.8 * end.output.length;
    const cut = await untilHistory(log, 'cut reply', shorter, since);
    const answer = await untilHistory(log, 'answer', by('assistant', /Paris/), since);
    await log.until('agent_end', ({ type }) => type === 'agent_end', since);
    return { whole: end.output, cut: said(cut), answer: said(answer) };
  },
};

try {
  const outcome = await converse(url, Number(patienceMs), scenarios[scenario]);
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
} catch (error) {
  process.stderr.write(`${error.stack ?? error}\n`);
  process.exitCode = 1;
}
