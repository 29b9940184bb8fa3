import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { integer, number, oneOf, readFlags, text, toggle, UsageError } from '../../bench/flags.ts';
import { latencyGoals } from '../../bench/latency-goals.ts';

const command = {
  usage: 'bench',
  question: 'How fast?',
  flags: {
    count: integer(3, 'Count.'),
    rate: number(Number.POSITIVE_INFINITY, 'Rate.'),
    weights: oneOf(['none', 'wint4'], 'none', 'Weights.'),
    file: text(null, 'FILE', 'File.'),
    loud: toggle('Loud.'),
    goodput: latencyGoals,
  },
};

test('absent flags have their defaults', () => {
  assert.deepEqual(
    { ...readFlags(command, []).flags },
    { count: 3, rate: Number.POSITIVE_INFINITY, weights: 'none', file: null, loud: false, goodput: [] },
  );
});

test('flags are parsed to their types', () => {
  const { flags } = readFlags(command, [
    '--count',
    '8',
    '--rate=2.5',
    '--weights',
    'wint4',
    '--file',
    'x.json',
    '--loud',
    '--goodput',
    'ttft:200 tpot:50.5',
  ]);
  assert.deepEqual(
    { ...flags },
    {
      count: 8,
      rate: 2.5,
      weights: 'wint4',
      file: 'x.json',
      loud: true,
      goodput: [
        { metric: 'ttft', limitMs: 200 },
        { metric: 'tpot', limitMs: 50.5 },
      ],
    },
  );
});

test('wrong flags and values are refused by name', () => {
  const refused: [string[], RegExp][] = [
    [['--cuont', '8'], /'--cuont'.*bench --help/],
    [['--count', '0'], /--count: "0" is not a whole number ≥ 1/],
    [['--count', '1.5'], /--count/],
    [['--rate', 'fast'], /--rate/],
    [['--weights', 'wint3'], /--weights: "wint3" is not one of none, wint4/],
    [['--goodput', 'ttft'], /--goodput: "ttft"/],
    [['--goodput', 'itl:3'], /--goodput: "itl:3"/],
    [['stray'], /stray/],
    [['--', 'more'], /"more"/],
  ];
  for (const [argv, message] of refused) {
    assert.throws(
      () => readFlags(command, argv),
      (error) => error instanceof UsageError && message.test(error.message) && !error.message.includes('\n'),
      argv.join(' '),
    );
  }
});

test('arguments after -- are handed on where the command takes them', () => {
  const { flags, rest } = readFlags({ ...command, rest: 'Server flags.' }, ['--count', '2', '--', '--max-num-seqs', '64']);
  assert.equal(flags.count, 2);
  assert.deepEqual(rest, ['--max-num-seqs', '64']);
});

for (const bench of ['offline', 'online', 'compare']) {
  test(`bench:${bench} explains its flags and refuses unknown ones with exit code 2`, () => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, ['--import', 'tsx', `bench/${bench}.ts`, ...args], {
        cwd: fileURLToPath(new URL('../..', import.meta.url)),
        encoding: 'utf8',
      });
    const help = run('--help');
    assert.equal(help.status, 0, help.stderr);
    assert.match(help.stdout, new RegExp(`npm run bench:${bench} --`));
    assert.match(help.stdout, /--json FILE/);
    const wrong = run('--no-such-flag');
    assert.equal(wrong.status, 2);
    assert.match(wrong.stderr, /'--no-such-flag'/);
    assert.equal(wrong.stderr.trim().split('\n').length, 1);
  });
}
