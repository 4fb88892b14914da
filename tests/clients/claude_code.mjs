// Claude Code itself, one-shot with a tool call, from a provider of Anthropic's protocol (bytes pass
// untouched), from one of OpenAI's (everything is translated) and from Bedrock (its own body, in the
// binary stream).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, runCases, script, sent, until } from './common.mjs';

const CLAUDE = `${env.CLIENT_MODULES}/@anthropic-ai/claude-code-linux-x64/claude`;
const WAIT_MS = 120000;

// Runs `claude -p` in an empty home; what it printed as JSON.
const claude = async (model, provider, prompt, more = []) => {
  const home = mkdtempSync(join(tmpdir(), 'wayfare-claude-'));
  writeFileSync(join(home, 'note.txt'), 'the shell is blue\n');
  const child = spawn(CLAUDE, ['-p', prompt, '--output-format', 'json', '--model', model, ...more], {
    cwd: home, stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: env.PATH, HOME: home, TMPDIR: home, ANTHROPIC_BASE_URL: env.WAYFARE_URL, ANTHROPIC_API_KEY: env.WAYFARE_KEY,
      CLAUDE_CODE_MAX_RETRIES: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_AUTOUPDATER: '1', DISABLE_TELEMETRY: '1',
      CLAUDE_CODE_EXTRA_BODY: JSON.stringify({ provider_only: [provider] }),
      ANTHROPIC_SMALL_FAST_MODEL: model,
    },
  });
  let out = '', err = '';
  child.stdout.on('data', (piece) => (out += piece));
  child.stderr.on('data', (piece) => (err += piece));
  const timer = setTimeout(() => child.kill('SIGKILL'), WAIT_MS);
  const code = await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  rmSync(home, { recursive: true, force: true });
  let answer;
  try {
    answer = JSON.parse(out);
  } catch {
    throw new Error(`claude ended with ${code}: ${out.slice(0, 2000)} ${err.slice(0, 2000)}`);
  }
  return { code, answer };
};
const since = (n) => sent().slice(n);

const cases = {
  async 'one-shot'({ model, provider }) {
    await script(provider, { text: 'Hello from the other side.' });
    const before = sent().length;
    const { code, answer } = await claude(model, provider, 'Say hello.');
    assert.equal(code, 0, JSON.stringify(answer));
    assert.equal(answer.is_error, false);
    assert.equal(answer.result, 'Hello from the other side.');
    assert.ok(answer.usage.output_tokens > 0);
    const requests = since(before);
    assert.ok(requests.length > 0 && requests.every((w) => w.listener === provider));
    assert.ok(requests.every((w) => !('provider_only' in w.body)));
  },

  async 'a tool call'({ model, provider }) {
    // One call: as soon as the request with the tool is answered, the next answer is text.
    await script(provider, { tool: 1 });
    const before = sent().length;
    const running = claude(model, provider, 'Read note.txt.', ['--tools', 'Read', '--allowedTools', 'Read']);
    await until('the first request', () => since(before).some((w) => w.body.tools?.length > 0), WAIT_MS);
    await script(provider, { tool: 0, text: 'I have read it.' });
    const { code, answer } = await running;
    assert.equal(code, 0, JSON.stringify(answer));
    assert.equal(answer.result, 'I have read it.');
    assert.ok(answer.num_turns >= 2, JSON.stringify(answer));
    const last = since(before).at(-1).body.messages;
    const text = JSON.stringify(last);
    assert.ok(provider !== 'gamma' ? text.includes('"tool_result"') : last.some((m) => m.role === 'tool'), text);
  },
};

await runCases(cases, [
  { name: 'Claude Code, its own protocol', model: 'm', provider: 'alpha' },
  { name: "Claude Code, OpenAI's", model: 'c', provider: 'gamma' },
  { name: 'Claude Code, Bedrock', model: 'c', provider: 'delta' },
]);
