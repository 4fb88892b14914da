// What a program with the official SDK of OpenAI sees: from a provider of the same protocol (gamma,
// bytes pass untouched) and from one of Anthropic's (alpha, everything is translated).
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { env, generation, lastSent, loadFile, refusal, reset, runCases, script, WORDS } from './common.mjs';

const SDKS = [];
for (const [name, path] of [['openai', 'openai'], ['openai 4', 'openai-4']])
  if (existsSync(`${env.CLIENT_MODULES}/${path}`)) SDKS.push({ name, lib: await loadFile(`${path}/index.mjs`) });

const ASK = { model: 'c', max_tokens: 50, messages: [{ role: 'system', content: 'Be brief.' }, { role: 'user', content: 'Hello' }] };
const TOOL = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } }, required: ['city'] },
  },
};
const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

// The helpers for streams and tools left the beta between the versions.
const helpers = (client) => (client.chat.completions.stream ? client.chat.completions : client.beta.chat.completions);

const cases = {
  async create({ client, ask, provider }) {
    const { data, response } = await client.chat.completions.create(ask).withResponse();
    assert.equal(data.object, 'chat.completion');
    const [choice] = data.choices;
    assert.equal(choice.index, 0);
    assert.equal(choice.message.role, 'assistant');
    assert.ok(choice.message.content.length > 0);
    assert.ok(['stop', 'length'].includes(choice.finish_reason));
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
    assert.ok(data.usage.completion_tokens > 0 && Number.isInteger(data.created));
    assert.equal(response.headers.get('x-wayfare-provider'), provider);
    assert.equal(response.headers.get('x-wayfare-model'), 'test/c');
    assert.match(response.headers.get('x-wayfare-cost'), /^0\.\d+$/);
    const sent = lastSent();
    assert.ok(!JSON.stringify(sent.headers).includes(env.WAYFARE_KEY.slice(-4)), 'the key went to the provider');
    assert.equal(sent.body.model, `c-${provider}`);
    assert.ok(!('provider' in sent.body) && !('provider_only' in sent.body));
  },

  async 'record agrees with usage'({ client, ask }) {
    const { data, response } = await client.chat.completions.create(ask).withResponse();
    const g = await generation(response.headers.get('x-wayfare-generation-id'));
    assert.equal(g.usage.output_tokens, data.usage.completion_tokens);
    assert.equal(g.usage.input_tokens + (g.usage.cache_read_tokens ?? 0), data.usage.prompt_tokens);
    assert.equal(g.cost_usd, response.headers.get('x-wayfare-cost'));
  },

  async 'cached tokens are counted once'({ client, ask, provider }) {
    await script(provider, { input_tokens: 100, cache_read: 900, output_tokens: 10 });
    const { data, response } = await client.chat.completions.create(ask).withResponse();
    assert.equal(data.usage.prompt_tokens, 1000);
    assert.equal(data.usage.prompt_tokens_details.cached_tokens, 900);
    const g = await generation(response.headers.get('x-wayfare-generation-id'));
    assert.equal(g.usage.input_tokens, 100);
    assert.equal(g.usage.cache_read_tokens, 900);
  },

  async 'stream: iteration'({ client, ask, provider }) {
    await script(provider, { text: WORDS, chunk: '1' });
    const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
    let text = '', finish = null, usage = null, roles = 0, last;
    for await (const chunk of stream) {
      assert.equal(chunk.object, 'chat.completion.chunk');
      assert.equal(usage, null, 'usage comes last');
      const [choice] = chunk.choices;
      if (choice) {
        assert.equal(finish, null, 'nothing behind the reason');
        roles += choice.delta.role === 'assistant';
        text += choice.delta.content ?? '';
        finish = choice.finish_reason ?? null;
      } else {
        usage = chunk.usage;
      }
      assert.ok(last === undefined || last === chunk.id, 'one id');
      last = chunk.id;
    }
    assert.equal(text, WORDS);
    assert.equal(roles, 1);
    assert.equal(finish, 'stop');
    assert.ok(usage.completion_tokens > 0);
  },

  async 'stream: usage only when asked for'({ client, ask }) {
    const { data, response } = await client.chat.completions.create({ ...ask, stream: true }).withResponse();
    for await (const chunk of data) assert.ok(chunk.choices.length === 1 && !chunk.usage);
    const g = await generation(response.headers.get('x-wayfare-generation-id'));
    assert.equal(g.attempts[0].usage_source, 'final');
  },

  async 'stream: helpers'({ client, ask }) {
    const runner = helpers(client).stream({ ...ask, stream_options: { include_usage: true } });
    let text = '';
    runner.on('content', (delta) => (text += delta));
    const whole = await runner.finalChatCompletion();
    assert.equal(whole.choices[0].message.content, text);
    assert.ok((await runner.totalUsage()).completion_tokens > 0);
  },

  async 'tools: round trip'({ client, ask, provider }) {
    await script(provider, { tool: 1 });
    const first = await client.chat.completions.create({ ...ask, tools: [TOOL], tool_choice: 'required' });
    assert.equal(first.choices[0].finish_reason, 'tool_calls');
    const [call] = first.choices[0].message.tool_calls;
    assert.equal(call.type, 'function');
    assert.equal(call.function.name, 'get_weather');
    assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
    await reset();
    const messages = [...ask.messages, first.choices[0].message, { role: 'tool', tool_call_id: call.id, content: '17 degrees' }];
    const second = await client.chat.completions.create({ ...ask, tools: [TOOL], messages });
    assert.ok(second.choices[0].message.content.length > 0);
    assert.ok(JSON.stringify(lastSent().body.messages).includes('17 degrees'));
  },

  async 'tools: parallel, streamed, pieces in turns'({ client, ask, provider }) {
    await script(provider, { tool: 3, chunk: '7', interleave: provider === 'gamma' ? 1 : 0 });
    const runner = helpers(client).stream({ ...ask, max_tokens: 500, tools: [TOOL] });
    const { choices: [choice] } = await runner.finalChatCompletion();
    assert.equal(choice.finish_reason, 'tool_calls');
    assert.equal(choice.message.tool_calls.length, 3);
    assert.equal(new Set(choice.message.tool_calls.map((c) => c.id)).size, 3);
    for (const call of choice.message.tool_calls) assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
  },

  async 'tools: runner'({ client, ask, provider }) {
    await script(provider, { tool: 1 });
    const seen = [];
    const runner = helpers(client).runTools({
      ...ask,
      tools: [{ type: 'function', function: { ...TOOL.function, parse: JSON.parse, function: async (args) => (seen.push(args), await reset(), '17 degrees') } }],
    });
    assert.ok((await runner.finalContent()).length > 0);
    assert.equal(seen.length, 1);
    assert.equal(typeof seen[0].city, 'string');
  },

  async images({ client, ask, provider }) {
    const content = [{ type: 'text', text: 'What is it?' }, { type: 'image_url', image_url: { url: PIXEL } }];
    const answer = await client.chat.completions.create({ ...ask, messages: [{ role: 'user', content }] });
    assert.ok(answer.choices[0].message.content.length > 0);
    const [message] = lastSent().body.messages;
    if (provider === 'gamma') assert.deepEqual(message.content, content);
    else assert.deepEqual(message.content[1].source, { type: 'base64', media_type: 'image/png', data: PIXEL.split(',')[1] });
  },

  async 'structured output'({ client, ask, provider }) {
    const schema = { type: 'object', properties: { a: { type: 'number' } }, required: ['a'], additionalProperties: false };
    await client.chat.completions.create({ ...ask, response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } } });
    const { body } = lastSent();
    if (provider === 'gamma') assert.deepEqual(body.response_format.json_schema.schema, schema);
    else assert.deepEqual(body.output_config.format, { type: 'json_schema', schema });
  },

  async 'reasoning effort'({ client, ask, provider }) {
    await client.chat.completions.create({ ...ask, max_tokens: undefined, max_completion_tokens: 9000, reasoning_effort: 'low' });
    const { body } = lastSent();
    if (provider === 'gamma') assert.equal(body.reasoning_effort, 'low');
    else assert.ok(body.thinking !== undefined || body.output_config?.effort === 'low', JSON.stringify(body));
  },

  async 'nested routing fields'({ client, provider }) {
    const answer = await client.chat.completions.create({ ...ASK, provider: { only: [provider], allow_fallbacks: false } }).withResponse();
    assert.equal(answer.response.headers.get('x-wayfare-provider'), provider);
    assert.ok(!('provider' in lastSent().body));
  },

  async 'failover to the other protocol'({ client, provider }) {
    const other = provider === 'gamma' ? 'alpha' : 'gamma';
    await script(provider, { status: 503 });
    const { data, response } = await client.chat.completions.create({ ...ASK, provider_order: [provider, other] }).withResponse();
    assert.equal(response.headers.get('x-wayfare-provider'), other);
    assert.equal(response.headers.get('x-wayfare-attempts'), '2');
    assert.ok(data.choices[0].message.content.length > 0);
  },

  async 'errors have their classes'({ client, lib, ask, provider }) {
    const impatient = (apiKey) => new lib.default({ apiKey, baseURL: `${env.WAYFARE_URL}/v1`, maxRetries: 0 });
    const unknown = await refusal(client.chat.completions.create({ ...ask, model: 'nobody' }));
    assert.ok(unknown instanceof lib.NotFoundError, String(unknown));
    assert.equal(unknown.code, 'model_not_found');
    const stranger = await refusal(impatient('wf_wrong').chat.completions.create(ask));
    assert.ok(stranger instanceof lib.AuthenticationError);
    assert.equal(stranger.code, 'invalid_api_key');
    const poor = await refusal(impatient(env.WAYFARE_KEY_POOR).chat.completions.create({ ...ask, max_tokens: 5000 }));
    assert.equal(poor.status, 402);
    assert.equal(poor.code, 'insufficient_quota');
    const wrong = await refusal(client.chat.completions.create({ ...ask, provider_sort: 'colour' }));
    assert.ok(wrong instanceof lib.BadRequestError);
    assert.match(wrong.message, /provider_sort/);
    await script(provider, { status: 400, error_message: 'the model does not like it' });
    const refused = await refusal(client.chat.completions.create(ask));
    assert.ok(refused instanceof lib.BadRequestError);
    assert.match(refused.message, /the model does not like it/);
    await script(provider, { status: 429, retry_after: 1 });
    const limited = await refusal(impatient(env.WAYFARE_KEY).chat.completions.create(ask));
    assert.ok(limited instanceof lib.RateLimitError);
  },

  async 'stream: an error inside'({ client, ask, provider }) {
    await script(provider, { error_event_after: 4, error_message: 'it went wrong' });
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    const error = await refusal((async () => {
      for await (const chunk of stream) void chunk;
    })());
    assert.match(String(error.message), /it went wrong/);
  },

  async 'stream: cut is no end'({ client, ask, provider }) {
    await script(provider, { cut_after_events: 4 });
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    await refusal((async () => {
      for await (const chunk of stream) void chunk;
    })());
  },

  async models({ client }) {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    assert.ok(ids.includes('test/c') && ids.includes('test/m'));
    assert.equal((await client.models.retrieve('test/c')).object, 'model');
  },
};

const subjects = SDKS.flatMap(({ name, lib }) =>
  ['gamma', 'alpha'].map((provider) => ({
    name: `${name}, ${provider}`, lib, provider, ask: { ...ASK, provider_only: [provider] },
    client: new lib.default({ apiKey: env.WAYFARE_KEY, baseURL: `${env.WAYFARE_URL}/v1`, maxRetries: 0, logLevel: 'off' }),
  })));
await runCases(cases, subjects);
