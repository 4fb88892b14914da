// What the client tests share: the simulator's controls and witness, the server's records, and the
// loop that runs cases.  tests/clients/run says in the environment where everything is.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

export const env = process.env;
const SIM = Object.fromEntries(env.SIM_URLS.split(' ').map((pair) => pair.split('=')));

// A package of the locked ones: by its file, or by its name as Node finds it.
const require = createRequire(`${env.CLIENT_MODULES}/`);
export const loadFile = (path) => import(pathToFileURL(`${env.CLIENT_MODULES}/${path}`));
export const load = (name) => import(pathToFileURL(require.resolve(name)));

export const WORDS = 'na\u00efve \u65e5\u672c \ud83d\udc1a "quoted" back\\slash\u2028 caf\u00e9';

// ---- the simulator ----
export const script = async (provider, keys) => {
  const answer = await fetch(`${SIM[provider]}/_sim/script`, { method: 'POST', body: JSON.stringify({ model: '*', ...keys }) });
  assert.equal(answer.status, 200, await answer.text());
};
export const reset = async () => {
  for (const url of Object.values(SIM)) await fetch(`${url}/_sim/reset`, { method: 'POST', body: '{}' });
};
// A line that is being written is not there yet.
export const witness = (event) =>
  readFileSync(env.SIM_LOG, 'utf8').split('\n').slice(0, -1).filter(Boolean).map((line) => JSON.parse(line)).filter((w) => w.event === event);
const opened = (w) => {
  const headers = Object.fromEntries(Object.entries(w.headers).map(([k, v]) => [k.toLowerCase(), v]));
  return { ...w, headers, body: JSON.parse(Buffer.from(w.body_base64, 'base64').toString('utf8')) };
};
// The requests that reached a provider, the last of them.
export const sent = () => witness('begin').map(opened);
export const lastSent = () => opened(witness('begin').at(-1));

// ---- the server ----
export const until = async (what, condition, ms = 5000) => {
  for (const end = Date.now() + ms; Date.now() < end; await sleep(20)) {
    const value = await condition();
    if (value) return value;
  }
  throw new Error(`timed out waiting for ${what}`);
};
export const generation = (id) =>
  until('the record to settle', async () => {
    const answer = await fetch(`${env.WAYFARE_URL}/v1/generations/${id}`, { headers: { 'x-api-key': env.WAYFARE_KEY } });
    const g = answer.status === 200 ? await answer.json() : null;
    return g && g.attempts.length > 0 && g.attempts.every((a) => ['SETTLED', 'VOID'].includes(a.state)) ? g : null;
  });
export const refusal = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('was answered, should have failed');
};

// ---- run ----
// Every case for every subject ({ name, ... }, made by the caller): cases[name](subject); cases may
// be a function that tells those of a subject.  Names on the command line choose.  Ends the process.
export const runCases = async (cases, subjects) => {
  let passed = 0, failed = 0;
  const only = process.argv.slice(2);
  for (const subject of subjects) {
    for (const [name, run] of Object.entries(typeof cases === 'function' ? cases(subject) : cases)) {
      if (only.length && !only.includes(name)) continue;
      try {
        await reset();
        await run(subject);
        passed++;
        console.log(`ok ${subject.name}: ${name}`);
      } catch (error) {
        failed++;
        console.log(`not ok ${subject.name}: ${name}`);
        console.log(`    ${String(error.stack ?? error).replaceAll('\n', '\n    ')}`);
      }
    }
  }
  await reset();
  console.log(`${passed} passed, ${failed} failed, 0 skipped`);
  process.exit(failed ? 1 : 0);
};
