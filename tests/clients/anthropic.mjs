// What a program with the official SDK of Anthropic sees.
import assert from 'node:assert/strict';
import { env, generation, lastSent, loadFile, refusal, reset, runCases, script, until, witness, WORDS } from './common.mjs';

const SDKS = [
  { name: 'sdk 1', lib: await loadFile('@anthropic-ai/sdk/index.mjs'), header: 'authorization', version: '2026-10-21' },
  { name: 'sdk 0', lib: await loadFile('anthropic-sdk-0/index.mjs'), header: 'x-api-key', version: '2023-06-01' },
];
const ASK = { model: 'm', max_tokens: 50, messages: [{ role: 'user', content: 'Hello' }] };
const TOOL = {
  name: 'get_weather',
  description: 'The weather in a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city'] },
};

// ---- the cases: name -> function of (client, sdk) ----
const cases = {
  async create(client, sdk) {
    const { data, response, request_id } = await client.messages.create(ASK).withResponse();
    assert.equal(data.type, 'message');
    assert.equal(data.role, 'assistant');
    assert.ok(data.content[0].text.length > 0 && data.usage.output_tokens > 0);
    assert.match(response.headers.get('x-wayfare-generation-id'), /^gen_/);
    assert.match(response.headers.get('x-wayfare-cost'), /^0\.\d+$/);
    assert.ok(['alpha', 'beta'].includes(response.headers.get('x-wayfare-provider')));
    assert.equal(response.headers.get('x-wayfare-model'), 'test/m');
    assert.equal(request_id, response.headers.get('request-id'));
    assert.equal(data._request_id, request_id);
    const sent = lastSent();
    assert.equal(sent.headers['anthropic-version'], sdk.version);
    assert.ok(!JSON.stringify(sent.headers).includes(env.WAYFARE_KEY.slice(-4)), 'the key went to the provider');
  },

  async 'record agrees with usage'(client) {
    const { data, response } = await client.messages.create(ASK).withResponse();
    const g = await generation(response.headers.get('x-wayfare-generation-id'));
    assert.equal(g.usage.output_tokens, data.usage.output_tokens);
    assert.equal(g.usage.input_tokens, data.usage.input_tokens);
    assert.equal(g.cost_usd, response.headers.get('x-wayfare-cost'));
  },

  async 'stream: helpers'(client) {
    const seen = {};
    const count = (name) => () => (seen[name] = (seen[name] ?? 0) + 1);
    let text = '';
    const stream = client.messages.stream(ASK);
    for (const name of ['connect', 'streamEvent', 'message', 'contentBlock', 'finalMessage', 'end']) stream.on(name, count(name));
    stream.on('text', (delta, snapshot) => {
      text += delta;
      assert.equal(snapshot, text);
    });
    const message = await stream.finalMessage();
    await stream.done();
    assert.equal(message.content[0].text, text);
    assert.equal(await stream.finalText(), text);
    assert.ok(['end_turn', 'max_tokens'].includes(message.stop_reason));
    assert.ok(message.usage.output_tokens > 0);
    for (const name of ['connect', 'message', 'contentBlock', 'finalMessage', 'end']) assert.equal(seen[name], 1, name);
    assert.ok(seen.streamEvent > 5);
    assert.match(stream.request_id, /^req_/);
  },

  async 'stream: iteration'(client) {
    const { data, response } = await client.messages.create({ ...ASK, stream: true }).withResponse();
    const types = [];
    for await (const event of data) types.push(event.type);
    assert.equal(types[0], 'message_start');
    assert.equal(types.at(-1), 'message_stop');
    for (const type of ['content_block_start', 'content_block_delta', 'content_block_stop', 'message_delta']) assert.ok(types.includes(type));
    const g = await generation(response.headers.get('x-wayfare-generation-id'));
    assert.equal(g.attempts[0].usage_source, 'final');
  },

  async 'stream: pings and odd cuts'(client) {
    await script('alpha', { text: WORDS, chunk: '1', ttft_ms: 300, ping_every_ms: 50 });
    const message = await client.messages.stream({ ...ASK, provider_only: ['alpha'] }).finalMessage();
    assert.equal(message.content[0].text, WORDS);
  },

  async unicode(client) {
    await script('alpha', { text: WORDS });
    const messages = [{ role: 'user', content: WORDS }];
    const message = await client.messages.create({ ...ASK, messages, provider_only: ['alpha'] });
    assert.equal(message.content[0].text, WORDS);
    assert.deepEqual(lastSent().body.messages, messages);
  },

  async 'tools: round trip'(client) {
    await script('alpha', { tool: 1 });
    const ask = { ...ASK, max_tokens: 500, tools: [TOOL], tool_choice: { type: 'any' }, provider_only: ['alpha'] };
    const first = await client.messages.create(ask);
    assert.equal(first.stop_reason, 'tool_use');
    const use = first.content.find((b) => b.type === 'tool_use');
    assert.equal(use.name, TOOL.name);
    assert.equal(typeof use.input.city, 'string');
    await reset();
    const messages = [...ask.messages, { role: 'assistant', content: first.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: '17 degrees' }] }];
    const second = await client.messages.create({ ...ask, tool_choice: { type: 'auto' }, messages });
    assert.equal(second.type, 'message');
    assert.deepEqual(lastSent().body.messages, JSON.parse(JSON.stringify(messages)));
    assert.deepEqual(lastSent().body.tools, [TOOL]);
  },

  async 'tools: streamed input'(client) {
    await script('alpha', { tool: 1, chunk: '7' });
    let json = '';
    const stream = client.messages.stream({ ...ASK, max_tokens: 500, tools: [TOOL], provider_only: ['alpha'] });
    stream.on('inputJson', (partial) => (json += partial));
    const message = await stream.finalMessage();
    const use = message.content.find((b) => b.type === 'tool_use');
    assert.equal(message.stop_reason, 'tool_use');
    assert.deepEqual(JSON.parse(json), use.input);
  },

  async thinking(client) {
    const ask = { ...ASK, max_tokens: 4000, thinking: { type: 'enabled', budget_tokens: 1024 } };
    const message = await client.messages.create(ask);
    const block = message.content[0];
    assert.equal(block.type, 'thinking');
    assert.ok(block.thinking.length > 0 && block.signature.length > 0);
    const messages = [...ask.messages, { role: 'assistant', content: message.content }, { role: 'user', content: 'Go on' }];
    await client.messages.create({ ...ask, messages });
    assert.equal(lastSent().body.messages[1].content[0].signature, block.signature);
  },

  async 'thinking: streamed'(client) {
    let thought = '', signature = '';
    const stream = client.messages.stream({ ...ASK, max_tokens: 4000, thinking: { type: 'enabled', budget_tokens: 1024 } });
    stream.on('thinking', (delta) => (thought += delta));
    stream.on('signature', (value) => (signature = value));
    const message = await stream.finalMessage();
    assert.equal(message.content[0].thinking, thought);
    assert.equal(message.content[0].signature, signature);
    assert.ok(thought.length > 0 && signature.length > 0);
  },

  async 'translated: text, stream, tools'(client) {
    const ask = { ...ASK, model: 'c', provider_only: ['gamma'] }; // speaks OpenAI's protocol
    await script('gamma', { text: WORDS, chunk: '1' });
    const whole = await client.messages.create(ask);
    assert.equal(whole.content[0].text, WORDS);
    assert.equal(lastSent().path, '/v1/chat/completions');
    const types = new Set();
    const stream = client.messages.stream(ask);
    stream.on('streamEvent', (event) => types.add(event.type));
    const streamed = await stream.finalMessage();
    assert.equal(streamed.content[0].text, WORDS);
    assert.equal(streamed.stop_reason, 'end_turn');
    assert.equal(streamed.usage.output_tokens, whole.usage.output_tokens);
    for (const type of ['message_start', 'content_block_start', 'content_block_stop', 'message_delta', 'message_stop']) assert.ok(types.has(type), type);
    await reset();
    await script('gamma', { tool: 2, interleave: 1, chunk: '7' });
    const tools = { ...ask, max_tokens: 500, tools: [TOOL] };
    const called = await client.messages.stream(tools).finalMessage();
    const uses = called.content.filter((b) => b.type === 'tool_use');
    assert.equal(called.stop_reason, 'tool_use');
    assert.equal(uses.length, 2);
    for (const use of uses) assert.equal(typeof use.input.city, 'string');
    await reset();
    const results = uses.map((use) => ({ type: 'tool_result', tool_use_id: use.id, content: '17 degrees', is_error: false }));
    const messages = [...ask.messages, { role: 'assistant', content: called.content }, { role: 'user', content: results }];
    assert.equal((await client.messages.create({ ...tools, messages })).type, 'message');
    assert.equal(lastSent().body.messages.filter((m) => m.role === 'tool').length, 2);
  },

  async 'translated: errors'(client, sdk) {
    const ask = { ...ASK, model: 'c', provider_only: ['gamma'] };
    await script('gamma', { status: 400, error_message: 'the model does not like it' });
    const refused = await refusal(client.messages.create(ask));
    assert.ok(refused instanceof sdk.lib.BadRequestError);
    assert.equal(refused.error.type, 'error');
    assert.equal(refused.error.error.type, 'invalid_request_error');
    assert.match(refused.message, /the model does not like it/);
    await reset();
    await script('gamma', { error_event_after: 4, error_message: 'it went wrong' });
    assert.match(String((await refusal(client.messages.stream(ask).finalMessage())).message), /it went wrong/);
    await reset();
    await script('gamma', { cut_after_events: 4 });
    await refusal(client.messages.stream(ask).finalMessage());
  },

  async 'count tokens'(client) {
    const { max_tokens, ...ask } = ASK;
    const count = await client.messages.countTokens({ ...ask, tools: [TOOL], provider_order: ['beta'] });
    assert.ok(Number.isInteger(count.input_tokens) && count.input_tokens > 0);
    assert.ok(lastSent().path.startsWith('/v1/messages/count_tokens'));
  },

  async 'models: list and paging'(client) {
    const whole = await client.models.list();
    assert.deepEqual(whole.data.map((m) => m.id).sort(), ['test/c', 'test/m', 'test/n', 'test/o']);
    const paged = [];
    let pages = 0;
    for await (const page of (await client.models.list({ limit: 1 })).iterPages()) {
      pages++;
      assert.ok(page.data.length <= 1);
      paged.push(...page.data.map((m) => m.id));
    }
    assert.deepEqual(paged, whole.data.map((m) => m.id));
    assert.ok(pages >= 3);
    const after = await client.models.list({ limit: 5, after_id: paged[0] });
    assert.deepEqual(after.data.map((m) => m.id), paged.slice(1));
    const before = await client.models.list({ limit: 5, before_id: paged[2] });
    assert.deepEqual(before.data.map((m) => m.id), paged.slice(0, 2));
  },

  async 'models: retrieve'(client, { lib }) {
    for (const name of ['test/n', 'n']) {
      const model = await client.models.retrieve(name);
      assert.equal(model.id, 'test/n');
      assert.equal(model.type, 'model');
      assert.ok(model.display_name && model.created_at);
    }
    const error = await refusal(client.models.retrieve('nope'));
    assert.ok(error instanceof lib.NotFoundError);
  },

  async 'routing fields'(client) {
    for (const name of ['alpha', 'beta']) {
      const { response } = await client.messages.create({ ...ASK, provider_order: [name], provider_sort: 'price', provider_zdr: true }).withResponse();
      assert.equal(response.headers.get('x-wayfare-provider'), name);
      assert.deepEqual(Object.keys(lastSent().body).sort(), ['max_tokens', 'messages', 'model']);
      assert.equal(lastSent().body.model, `m-${name}`);
    }
    const { response } = await client.messages.create({ ...ASK, provider: { only: ['beta'] }, models: ['n'] }).withResponse();
    assert.equal(response.headers.get('x-wayfare-provider'), 'beta');
  },

  async 'failover is invisible'(client) {
    await script('alpha', { status: 529 });
    const { response } = await client.messages.create({ ...ASK, provider_order: ['alpha', 'beta'] }).withResponse();
    assert.equal(response.headers.get('x-wayfare-provider'), 'beta');
    assert.equal(response.headers.get('x-wayfare-attempts'), '2');
  },

  async 'error classes'(client, { lib }) {
    const calm = client.withOptions({ maxRetries: 0 });
    const rows = [
      [400, lib.BadRequestError, 'invalid_request_error'], [404, lib.NotFoundError, 'not_found_error'],
      [403, lib.PermissionDeniedError, 'permission_error'], [409, lib.ConflictError, null],
      [413, lib.APIError, 'request_too_large'], [422, lib.UnprocessableEntityError, 'invalid_request_error'],
      [429, lib.RateLimitError, 'rate_limit_error'], [500, lib.InternalServerError, 'api_error'],
      [503, lib.InternalServerError, null], [529, lib.InternalServerError, 'overloaded_error'],
    ];
    for (const [status, kind, type] of rows) {
      await script('alpha', { status, error_message: `told ${status}` });
      for (const stream of [false, true]) {
        const error = await refusal(calm.messages.create({ ...ASK, stream, provider_only: ['alpha'] }));
        assert.ok(error instanceof kind, `${status}: ${error}`);
        assert.equal(error.status, status);
        assert.equal(error.error.type, 'error');
        assert.equal(error.error.error.message, `told ${status}`);
        if (type) assert.equal(error.error.error.type, type);
        assert.ok(error.requestID);
      }
      await reset();
    }
  },

  async "errors of the server's own"(client, { lib }) {
    const as = (apiKey) => client.withOptions({ apiKey, maxRetries: 3 });
    const before = witness('begin').length;
    let error = await refusal(as('wf_nobody').messages.create(ASK));
    assert.ok(error instanceof lib.AuthenticationError && error.error.error.type === 'authentication_error', String(error));
    error = await refusal(as(env.WAYFARE_KEY_POOR).messages.create(ASK));
    assert.equal(error.status, 402);
    assert.equal(error.error.error.type, 'billing_error');
    assert.equal(error.headers.get('x-should-retry'), 'false');
    error = await refusal(as(env.WAYFARE_KEY_NARROW).messages.create(ASK));
    assert.ok(error instanceof lib.PermissionDeniedError, String(error));
    error = await refusal(client.messages.create({ ...ASK, provider_sort: 'cheap' }));
    assert.ok(error instanceof lib.BadRequestError && error.message.includes('provider_sort'), String(error));
    error = await refusal(client.messages.create({ ...ASK, model: 'unheard-of' }));
    assert.ok(error instanceof lib.NotFoundError, String(error));
    assert.equal(witness('begin').length, before, 'a refused request reached a provider');
  },

  async 'no endpoint fits: no retry'(client, { lib }) {
    const before = witness('begin').length, begun = Date.now();
    const error = await refusal(client.withOptions({ maxRetries: 5 }).messages.create({ ...ASK, provider_only: ['nobody'] }));
    assert.ok(error instanceof lib.NotFoundError);
    assert.equal(error.headers.get('x-should-retry'), 'false');
    assert.equal(error.error.error.availability.excluded[0].reason, 'allowed_providers');
    assert.ok(Date.now() - begun < 5000); // five retries would take three times that
    assert.equal(witness('begin').length, before);
  },

  async 'a cap held by a running request'(client, { lib }) {
    await script('alpha', { output_tokens: 1, delay_ms: 1500 });
    const tight = client.withOptions({ apiKey: env.WAYFARE_KEY_TIGHT, maxRetries: 0 });
    const ask = { ...ASK, provider_only: ['alpha'] };
    const before = witness('begin').length;
    const first = tight.messages.create(ask).asResponse();
    await until('the first', () => witness('begin').length > before);
    const error = await refusal(tight.messages.create(ask));
    assert.ok(error instanceof lib.RateLimitError, String(error));
    assert.ok(Number(error.headers.get('retry-after')) >= 1);
    assert.equal(witness('begin').length, before + 1);
    const patient = await tight.messages.create(ask, { maxRetries: 8 });
    assert.equal(patient.type, 'message');
    assert.equal((await first).status, 200);
  },

  async 'retry-after is honoured'(client) {
    await script('alpha', { status: 429, retry_after: 2, fail_first: 1 });
    const before = witness('begin').length, begun = Date.now();
    const message = await client.withOptions({ maxRetries: 2 }).messages.create({ ...ASK, provider_only: ['alpha'] });
    assert.equal(message.type, 'message');
    assert.ok(Date.now() - begun >= 1900, 'retried too early');
    assert.equal(witness('begin').length, before + 2);
  },

  async 'abort in a stream'(client) {
    await script('alpha', { output_tokens: 2000, tps: 100 });
    const stream = client.messages.stream({ ...ASK, max_tokens: 3000, provider_only: ['alpha'] });
    const { response } = await stream.withResponse();
    await new Promise((resolve) => stream.once('text', resolve));
    const call = witness('begin').at(-1);
    assert.ok(!witness('end').some((w) => w.seq === call.seq));
    const aborted = refusal(stream.done());
    stream.abort();
    await aborted;
    await until('the provider to see the close', () => witness('end').some((w) => w.seq === call.seq), 3000);
    const g = await generation(response.headers.get('x-wayfare-generation-id'));
    assert.equal(g.attempts[0].usage_source, 'partial');
    assert.ok(g.usage.output_tokens < 2000);
  },

  async 'abort before the answer'(client) {
    await script('alpha', { delay_ms: 20000 });
    const controller = new AbortController();
    const before = witness('begin').length;
    const asked = refusal(client.messages.create({ ...ASK, provider_only: ['alpha'] }, { signal: controller.signal }));
    await until('the call', () => witness('begin').length > before);
    const call = witness('begin').at(-1);
    controller.abort();
    await asked;
    await until('the provider to see the close', () => witness('end').some((w) => w.seq === call.seq), 3000);
  },

  async 'a cut stream is an error'(client, { lib }) {
    for (const fault of [{ cut_after_events: 5 }, { reset_after_events: 5 }, { end_after_events: 5 }, { error_event_after: 5 }]) {
      await script('alpha', fault);
      const error = await refusal(client.messages.stream({ ...ASK, provider_only: ['alpha'] }).finalMessage());
      assert.ok(error instanceof lib.APIError, `${JSON.stringify(fault)}: ${error}`);
      await reset();
    }
  },

  async 'long answer, not streamed'(client) {
    await script('alpha', { output_tokens: 30000, delay_ms: 1500 });
    const message = await client.messages.create({ ...ASK, max_tokens: 40000, provider_only: ['alpha'] }, { timeout: 60000 });
    assert.equal(message.usage.output_tokens, 30000);
    assert.ok(message.content[0].text.length > 60000);
  },

  async 'long prompt'(client) {
    const messages = [{ role: 'user', content: 'word '.repeat(100000) }];
    await client.messages.create({ ...ASK, messages });
    const isLong = (body) => body.messages[0].content.length === messages[0].content.length;
    await until('the long line in the log', () => isLong(lastSent().body));
    assert.deepEqual(lastSent().body.messages, messages);
  },

  async 'many at once'(client) {
    const all = await Promise.all(Array.from({ length: 40 }, (_, i) =>
      i % 2 ? client.messages.create(ASK) : client.messages.stream(ASK).finalMessage()));
    assert.equal(new Set(all.map((m) => m.id)).size, 40);
  },

  async 'report in the body'(client) {
    const message = await client.messages.create(ASK, { headers: { 'x-wayfare-report': 'body' } });
    assert.ok(['alpha', 'beta'].includes(message.provider));
    assert.ok(message.usage.cost > 0);
  },

  async 'other paths are JSON errors'(client, { lib }) {
    assert.ok((await refusal(client.get('/v1/files'))) instanceof lib.NotFoundError);
    assert.ok((await refusal(client.post('/v1/messages/batches', { body: { requests: [] } }))) instanceof lib.NotFoundError);
  },

  // The shape of a coding agent's requests, with words of our own.
  async 'agent request'(client) {
    const cached = { cache_control: { type: 'ephemeral' } };
    const tools = Array.from({ length: 20 }, (_, i) => ({
      name: `Tool${i}`, description: `Does thing ${i}. `.repeat(40),
      input_schema: { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', properties: { path: { type: 'string' } }, additionalProperties: false },
      ...(i === 11 ? { defer_loading: true } : {}),
    }));
    const body = {
      model: 'm', max_tokens: 32000,
      messages: [
        { role: 'user', content: [{ type: 'text', text: '<note>\nabout the repository\n</note>' }, { type: 'text', text: 'List the files.' }] },
        { role: 'system', content: [{ type: 'text', text: 'Where you run. '.repeat(500), ...cached }], output_config: { effort: 'low' } },
        { role: 'assistant', content: [
          { type: 'thinking', thinking: 'Let me look \u00fc', signature: 'c2lnbmVkLWJ5LW5vYm9keQ==' }, { type: 'text', text: 'Looking.' },
          { type: 'tool_use', id: 'toolu_01own', name: 'Tool3', input: { path: '.' }, caller: { type: 'direct' } }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_01own', content: 'a\nb', is_error: false, ...cached }] },
        { role: 'system', content: 'One more thing, as a plain string.' },
      ],
      system: [{ type: 'text', text: 'x-billing: version=1' }, { type: 'text', text: 'You are an agent.', ...cached }],
      tools, metadata: { user_id: JSON.stringify({ device_id: 'd'.repeat(64), session_id: 's' }) },
      thinking: { type: 'adaptive', display: 'omitted' },
      context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
      output_config: { effort: 'high', format: { type: 'json_schema', schema: { type: 'object' } } },
      safeguards: { policy: { level: 2, notes: ['\u00e9', null, 1.50, 1e21] }, list: Array.from({ length: 50 }, (_, i) => ({ i })) },
    };
    const betas = ['claude-code-20250219', 'interleaved-thinking-2025-05-14', 'context-management-2025-06-27', 'effort-2025-11-24'];
    const headers = { 'anthropic-beta': betas.join(','), 'x-app': 'cli', 'x-claude-code-session-id': '3f2b9c1e-0000-4000-8000-000000000000' };
    const send = { headers, query: { beta: 'true' } };
    const message = await client.messages.stream({ ...body, provider_order: ['beta', 'alpha'] }, send).finalMessage();
    assert.ok(message.content.some((b) => b.type === 'thinking' && b.signature));
    const sent = lastSent();
    assert.deepEqual(sent.body, { ...JSON.parse(JSON.stringify(body)), model: 'm-beta', stream: true });
    assert.equal(sent.headers['anthropic-beta'], headers['anthropic-beta']);
    const whole = await client.messages.create(body, { ...send, timeout: 60000 });
    assert.equal(whole.type, 'message');
    const { max_tokens, ...rest } = body;
    const counts = await Promise.all(Array.from({ length: 24 }, () =>
      client.messages.countTokens({ model: 'm', messages: [{ role: 'user', content: 'foo' }], tools: rest.tools.slice(0, 3) })));
    assert.ok(counts.every((c) => c.input_tokens > 0));
  },

  async 'credentials'(client, sdk) {
    const seen = [];
    const spy = new sdk.lib.default({
      apiKey: env.WAYFARE_KEY, baseURL: env.WAYFARE_URL,
      fetch: (url, init) => (seen.push(new Headers(init.headers)), fetch(url, init)),
    });
    await spy.messages.create(ASK);
    assert.ok(seen[0].get(sdk.header).endsWith(env.WAYFARE_KEY));
    const bearer = new sdk.lib.default({ apiKey: null, authToken: env.WAYFARE_KEY, baseURL: env.WAYFARE_URL });
    assert.equal((await bearer.messages.create(ASK)).type, 'message');
    const both = { 'x-api-key': env.WAYFARE_KEY, authorization: `Bearer ${env.WAYFARE_KEY}` };
    assert.equal((await client.messages.create(ASK, { headers: both })).type, 'message');
  },
};

const subjects = SDKS.map((sdk) => ({
  name: sdk.name, sdk, client: new sdk.lib.default({ apiKey: env.WAYFARE_KEY, baseURL: env.WAYFARE_URL, logLevel: 'off' }),
}));
await runCases(Object.fromEntries(Object.entries(cases).map(([name, run]) => [name, (s) => run(s.client, s.sdk)])), subjects);
