import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { SETTING_NAMES, SETTINGS } from '../src/config.ts';
import { readConfig } from '../src/config-sources.ts';
import { StartupError } from '../src/core/errors.ts';
import { helpText, printConfig } from '../src/help.ts';
import { temporaryFolder } from './support/checkpoint-folder.ts';

const read = (args: string[], env: Record<string, string> = {}, defaultFile = 'config/default.yaml') =>
  readConfig({ args, env, defaultFile });
const refuses = (args: string[], message: RegExp, env: Record<string, string> = {}) =>
  assert.throws(
    () => read(args, env),
    (error) => error instanceof StartupError && message.test(error.message) && !error.message.includes('\n'),
  );

function yamlFile(t: TestContext, content: string): string {
  const path = join(temporaryFolder(t), 'my.yaml');
  writeFileSync(path, content);
  return path;
}

test('config/default.yaml holds every setting with the default of the schema', () => {
  const file = parse(readFileSync('config/default.yaml', 'utf8'));
  assert.deepEqual(file, Object.fromEntries(SETTING_NAMES.map((name) => [name, SETTINGS[name].default])));
});

test('a flag wins over the environment, that over a file, that over the default', (t) => {
  const file = yamlFile(t, 'port: 1\nmaxNumSeqs: 2\nblockSize: 3\n');
  const { config } = read(['--config', file, '--port', '7'], { TROUPE_PORT: '6', TROUPE_MAX_NUM_SEQS: '5' });
  assert.deepEqual([config.port, config.maxNumSeqs, config.blockSize, config.host], [7, 5, 3, '127.0.0.1']);
});

test('snake_case keys and flags, as FastDeploy and vLLM users write them, mean the same', (t) => {
  assert.equal(read(['--config', yamlFile(t, 'max_model_len: 99')]).config.maxModelLen, 99);
  assert.equal(read(['--max_model_len=98']).config.maxModelLen, 98);
});

test('switches take --x, --no-x and --x=false', () => {
  assert.equal(read(['--no-enable-prefix-caching']).config.enablePrefixCaching, false);
  assert.equal(read(['--enable-logprob']).config.enableLogprob, true);
  assert.equal(read(['--enable-logprob=false']).config.enableLogprob, false);
});

test('sizes are read with their units', () => {
  assert.equal(read(['--kv-cache-memory-bytes', '2GiB']).config.kvCacheMemoryBytes, 2 ** 31);
  assert.equal(read(['--kv-cache-memory-bytes', '1500000']).config.kvCacheMemoryBytes, 1_500_000);
  assert.equal(read(['--kv-cache-memory-bytes', '1.5MB']).config.kvCacheMemoryBytes, 1_500_000);
});

test('unknown names are refused with the nearest known one', (t) => {
  refuses(['--max-model-length', '5'], /--max-model-length.*--max-model-len\?/);
  refuses([], /TROUPE_PROT.*TROUPE_PORT\?/, { TROUPE_PROT: '1' });
  refuses(['--config', yamlFile(t, 'quantisation: wint4')], /"quantisation".*quantization\?/);
  refuses(['--zzzzzzzz'], /Unknown flag --zzzzzzzz\. See --help/);
});

test('wrong values name the setting and what it takes', () => {
  refuses(['--port', 'http'], /--port must be a whole number, but it is "http"/);
  refuses(['--port', '70000'], /--port must be at most 65535/);
  refuses(['--quantization', 'int3'], /--quantization must be none, wint8 or wint4/);
  refuses(['--kv-cache-memory-bytes', 'lots'], /512MiB/);
  refuses([], /TROUPE_THREADS must be at least 1/, { TROUPE_THREADS: '0' });
  refuses(['--port'], /--port needs a value/);
  refuses(['--config', '/nowhere/at/all.yaml'], /cannot be read/);
});

test("FastDeploy's flags without a meaning here are accepted with one warning each", () => {
  const { warnings, config } = read(['--gpu-memory-utilization', '0.9', '--enable-expert-parallel', '--port', '9']);
  assert.equal(config.port, 9);
  assert.deepEqual(warnings, [
    '--gpu-memory-utilization has no meaning in troupe and is ignored.',
    '--enable-expert-parallel has no meaning in troupe and is ignored.',
  ]);
});

test("FastDeploy's scheduler and fallback flags are accepted with their values", () => {
  const flags = ['sync-period', 'load-shards-num', 'min-load-score', 'expire-period', 'release-load-expire-period']
    .concat(['reader-parallel', 'writer-parallel', 'reader-batch-size', 'writer-batch-size'])
    .map((name) => `--scheduler-${name}`)
    .concat(['--output-fallback', '--output-fallback-plugin', '--output-fallback-config']);
  const { warnings, positionals } = read([...flags.flatMap((flag) => [flag, '3']), '--enable-entropy']);
  assert.deepEqual(
    warnings,
    [...flags, '--enable-entropy'].map((flag) => `${flag} has no meaning in troupe and is ignored.`),
  );
  assert.deepEqual(positionals, []);
});

test('flags that would change the answers and cannot yet are refused by name, without telling their value', () => {
  const valued = ['speculative-config', 'logits-processors', 'tokenizer', 'revision'];
  for (const flag of valued) {
    refuses([`--${flag}`, 's3cret'], new RegExp(`^(?!.*s3cret)--${flag} is not available in this version.*`));
    refuses([`--${flag}`], new RegExp(`--${flag} needs a value`));
  }
  refuses(
    ['--speculative_config', '{"a":1}'],
    /^--speculative-config is not available in this version, except as --speculative-config \{\};/,
  );
});

test('their neutral values are accepted with a warning', () => {
  const { warnings } = read(['--speculative-config', '{}', '--revision', 'main']);
  assert.deepEqual(
    warnings,
    ['speculative-config {}', 'revision main'].map((flag) => `--${flag} changes nothing in this version and is ignored.`),
  );
});

test('positionals and actions are kept apart', () => {
  assert.deepEqual(read(['serve', 'some/dir', '--port', '1']).positionals, ['serve', 'some/dir']);
  assert.equal(read(['--help']).action, 'help');
  assert.equal(read(['--print-config']).action, 'print-config');
});

test('--print-config can be used as a --config file', (t) => {
  const { config } = read(['--port', '1234', '--served-model-name', 'a,b']);
  assert.deepEqual(read(['--config', yamlFile(t, printConfig(config))]).config, config);
});

test('--served-model-name needs a name', () => {
  for (const value of ['', ',', ' , '])
    assert.throws(() => read(['--served-model-name', value]), /--served-model-name.*must be one name or more, separated by commas/);
});

test('--help fits 80 columns', () => {
  const tooWide = helpText('1.2.3')
    .split('\n')
    .filter((line) => line.length > 80);
  assert.deepEqual(tooWide, []);
});

test('--help names every flag', () => {
  const help = helpText('1.2.3');
  for (const flag of ['--model', '--max-num-batched-tokens', '--[no-]enable-prefix-caching', '--timeout-graceful-shutdown'])
    assert.ok(help.includes(flag), flag);
});

test('keys come from --api-key, given again or with commas, else TROUPE_API_KEY, else FD_API_KEY', () => {
  const env = { TROUPE_API_KEY: 'c', FD_API_KEY: 'd,e' };
  assert.deepEqual(read(['--api-key', 'a', '--api-key=b, x'], env).config.apiKey, ['a', 'b', 'x']);
  assert.deepEqual(read([], env).config.apiKey, ['c']);
  assert.deepEqual(read([], { FD_API_KEY: 'd,e' }).config.apiKey, ['d', 'e']);
  assert.equal(read([], { FD_API_KEY: '' }).config.apiKey, null);
});

test('a key is told neither by a refusal nor by --print-config', () => {
  refuses(['--api-key', 's3cret\t1'], /^(?!.*s3cret)--api-key must hold visible ASCII/);
  refuses(['--api-key', ','], /^--api-key must be one key or more/);
  refuses([], /TROUPE_API_KEY must be one key or more/, { TROUPE_API_KEY: '' });
  const printed = printConfig(read(['--api-key', 's3cret']).config);
  assert.doesNotMatch(printed, /s3cret/);
  assert.equal(parse(printed).apiKey, undefined);
});

test('origins are read as a list with commas or, as for vLLM, in JSON', () => {
  const wanted = ['https://a.example', 'http://localhost:3000'];
  assert.deepEqual(read(['--allowed-origins', 'https://a.example/, http://localhost:3000']).config.allowedOrigins, wanted);
  assert.deepEqual(read(['--allowed-origins', '["https://a.example", "http://localhost:3000"]']).config.allowedOrigins, wanted);
  assert.deepEqual(read(['--allowed-origins', '["*"]']).config.allowedOrigins, ['*']);
  refuses(['--allowed-origins', 'a.example'], /--allowed-origins must be \* or origins such as/);
});

test('the early stop is configured in JSON, by flag, or as an object in a file', () => {
  const { config } = read(['--early-stop-config', '{"enable_early_stop":true,"window_size":100,"threshold":0.9}']);
  assert.deepEqual(config.earlyStopConfig, { enable_early_stop: true, strategy: 'repetition', window_size: 100, threshold: 0.9 });
  assert.deepEqual(read(['--enable-early-stop']).config.earlyStopConfig.window_size, 3000);
  for (const wrong of ['{"window_size":0}', '{"threshold":2}', '{"strategy":"guess"}', '{"window":3}', 'three', '[1]'])
    refuses(['--early-stop-config', wrong], /--early-stop-config must be a JSON object/);
});
