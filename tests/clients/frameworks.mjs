// What programs built on the Vercel AI SDK and on LangChain see, with each protocol and from
// providers of the same and of the other one.
import assert from 'node:assert/strict';
import { env, lastSent, load, refusal, reset, runCases, script, sent, WORDS } from './common.mjs';

const { generateText, streamText, tool, stepCountIs, Output } = await load('ai');
const { createAnthropic } = await load('@ai-sdk/anthropic');
const { createOpenAI } = await load('@ai-sdk/openai');
const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');
const { ChatAnthropic } = await load('@langchain/anthropic');
const { ChatOpenAI } = await load('@langchain/openai');
const core = await load('@langchain/core/messages');
const { tool: chainTool } = await load('@langchain/core/tools');
const { z } = await load('zod');

globalThis.AI_SDK_LOG_WARNINGS = false;
const WEATHER = z.object({ city: z.string(), days: z.number().int().optional() });

// Both libraries keep what they do not know out of the body: the fields go in underneath.
const routed = (provider) => async (url, init) => {
  const body = { ...JSON.parse(init.body), provider_only: [provider] };
  return fetch(url, { ...init, body: JSON.stringify(body), headers: new Headers(init.headers) });
};

// ---- Vercel AI SDK ----
const vercel = {
  async generate({ model, provider }) {
    await script(provider, { text: WORDS });
    const { text, usage, finishReason } = await generateText({ model, prompt: 'Hello', maxOutputTokens: 50 });
    assert.equal(text, WORDS);
    assert.equal(finishReason, 'stop');
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
    assert.equal(lastSent().listener, provider);
  },

  async stream({ model, provider }) {
    await script(provider, { text: WORDS, chunk: '1' });
    const result = streamText({ model, prompt: 'Hello', maxOutputTokens: 50 });
    let text = '';
    for await (const piece of result.textStream) text += piece;
    assert.equal(text, WORDS);
    assert.equal(await result.finishReason, 'stop');
    assert.ok((await result.usage).outputTokens > 0);
  },

  async 'tool loop'({ model, provider }) {
    await script(provider, { tool: 1 });
    const seen = [];
    const result = await generateText({
      model, prompt: 'The weather?', maxOutputTokens: 500, stopWhen: stepCountIs(3),
      tools: { get_weather: tool({ description: 'The weather in a city.', inputSchema: WEATHER, execute: async (args) => (seen.push(args), await reset(), '17 degrees') }) },
    });
    assert.equal(seen.length, 1);
    assert.equal(typeof seen[0].city, 'string');
    assert.ok(result.text.length > 0);
    assert.equal(result.steps.length, 2);
    assert.ok(JSON.stringify(lastSent().body.messages).includes('17 degrees'));
  },

  async 'tools in a stream, two at once'({ model, provider }) {
    await script(provider, { tool: 2, chunk: '7' });
    const result = streamText({
      model, prompt: 'The weather?', maxOutputTokens: 500,
      tools: { get_weather: tool({ description: 'The weather in a city.', inputSchema: WEATHER }) },
    });
    const calls = await result.toolCalls;
    assert.equal(calls.length, 2);
    for (const call of calls) assert.equal(typeof call.input.city, 'string');
    assert.equal(await result.finishReason, 'tool-calls');
  },

  async 'an object'({ model, provider }) {
    await script(provider, { text: '{"a": 7}' });
    // As text where the protocol has a format for it; a model that Vercel does not know is made to
    // call a tool instead, with what arguments the simulator makes up.
    const { output } = await generateText({ model, prompt: 'A number.', output: Output.object({ schema: z.object({ a: z.number() }) }) });
    assert.equal(typeof output.a, 'number');
  },

  async 'an error'({ model, provider }) {
    await script(provider, { status: 400, error_message: 'the model does not like it' });
    const error = await refusal(generateText({ model, prompt: 'Hello', maxRetries: 0 }));
    assert.equal(error.statusCode, 400);
    assert.match(error.message, /the model does not like it/);
  },
};

const compatible = (fetcher) =>
  createOpenAICompatible({ name: 'wayfare', apiKey: env.WAYFARE_KEY, baseURL: `${env.WAYFARE_URL}/v1`, includeUsage: true, fetch: fetcher })('c');
const vercelModels = {
  '@ai-sdk/anthropic': (fetcher) => createAnthropic({ apiKey: env.WAYFARE_KEY, baseURL: `${env.WAYFARE_URL}/v1`, fetch: fetcher })('c'),
  '@ai-sdk/openai': (fetcher) => createOpenAI({ apiKey: env.WAYFARE_KEY, baseURL: `${env.WAYFARE_URL}/v1`, fetch: fetcher }).chat('c'),
  '@ai-sdk/openai-compatible': compatible,
};

// ---- LangChain ----
const langchain = {
  async invoke({ chat, provider }) {
    await script(provider, { text: WORDS });
    const message = await chat.invoke([new core.SystemMessage('Be brief.'), new core.HumanMessage('Hello')]);
    assert.equal(message.text, WORDS);
    assert.ok(message.usage_metadata.input_tokens > 0 && message.usage_metadata.output_tokens > 0);
  },

  async stream({ chat, provider }) {
    await script(provider, { text: WORDS, chunk: '1' });
    let whole;
    for await (const chunk of await chat.stream('Hello')) whole = whole ? whole.concat(chunk) : chunk;
    assert.equal(whole.text, WORDS);
    assert.ok(whole.usage_metadata.output_tokens > 0);
  },

  async tools({ chat, provider }) {
    await script(provider, { tool: 2, chunk: '7' });
    const weather = chainTool(async () => '17 degrees', { name: 'get_weather', description: 'The weather in a city.', schema: WEATHER });
    const ask = [new core.HumanMessage('The weather?')];
    const bound = chat.bindTools([weather]);
    const called = await bound.invoke(ask);
    assert.equal(called.tool_calls.length, 2);
    let streamed;
    for await (const chunk of await bound.stream(ask)) streamed = streamed ? streamed.concat(chunk) : chunk;
    assert.equal(streamed.tool_calls.length, 2);
    for (const call of streamed.tool_calls) assert.equal(typeof call.args.city, 'string');
    await reset();
    const results = await Promise.all(called.tool_calls.map((call) => weather.invoke(call)));
    const last = await bound.invoke([...ask, called, ...results]);
    assert.ok(last.text.length > 0);
    assert.ok(JSON.stringify(lastSent().body.messages).includes('17 degrees'));
  },

  async 'an error'({ chat, provider }) {
    await script(provider, { status: 400, error_message: 'the model does not like it' });
    assert.match(String((await refusal(chat.invoke('Hello'))).message), /the model does not like it/);
    assert.equal(sent().filter((w) => w.listener === provider).at(-1).body.model, `c-${provider}`);
  },
};

const chats = {
  '@langchain/anthropic': (provider) =>
    new ChatAnthropic({ model: 'c', maxTokens: 500, maxRetries: 0, apiKey: env.WAYFARE_KEY, anthropicApiUrl: env.WAYFARE_URL, clientOptions: { fetch: routed(provider) } }),
  '@langchain/openai': (provider) =>
    new ChatOpenAI({ model: 'c', maxTokens: 500, maxRetries: 0, apiKey: env.WAYFARE_KEY, configuration: { baseURL: `${env.WAYFARE_URL}/v1`, fetch: routed(provider) }, streamUsage: true }),
};

// ---- run: names are told apart by who runs them ----
const subjects = [];
for (const provider of ['alpha', 'gamma']) {
  for (const [name, make] of Object.entries(vercelModels)) subjects.push({ name: `${name}, ${provider}`, provider, cases: vercel, model: make(routed(provider)) });
  for (const [name, make] of Object.entries(chats)) subjects.push({ name: `${name}, ${provider}`, provider, cases: langchain, chat: make(provider) });
}
await runCases((subject) => subject.cases, subjects);
