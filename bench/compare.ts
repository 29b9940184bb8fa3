/**
 * Is troupe faster than node-llama-cpp at the same shape and weight bits on this machine?
 * Rounds of both in turn, each in a process of its own with nothing else running; medians over the rounds. Flash attention or not: the
 * rival's better median counts. A third engine, the rival tuned, shows what it could do (compare-round.ts).
 */
import { writeFileSync } from 'node:fs';
import { CASES, CONTEXT_LENGTH, ENGINES, type EngineName, type RoundResult, runRound } from './compare-round.ts';
import { compareCase } from './comparison.ts';
import { type Command, integer, oneOf, readFlags, runBench, text } from './flags.ts';
import { shapeNamed, shapeNames } from './shapes.ts';
import { formatNumber, formatTable } from './table.ts';
import { ensureCheckpoint } from './write-checkpoint.ts';
import { ensureGguf } from './write-gguf.ts';

const FLAGS = {
  shape: oneOf(shapeNames, 'ernie-4.5-0.3b', 'The model, with random weights.'),
  quantization: oneOf(['wint4', 'wint8'], 'wint4', 'wint4 against Q4_0, wint8 against Q8_0.'),
  rounds: integer(5, 'Rounds of each engine.'),
  threads: integer(2, 'Threads of each engine.'),
  'decode-steps': integer(32, 'Measured decode steps of each round.'),
  'prefill-repeats': integer(3, 'Measured prefills of each round; their median is the round’s figure.'),
  json: text(null, 'FILE', 'Also write { rows: [{ case, quantization, troupe, rival, ratio }] } there, tokens per second.'),
};

const COMMAND: Command<typeof FLAGS> = {
  usage: 'npm run bench:compare --',
  question: 'Is troupe faster than node-llama-cpp at the same shape and weight bits on this machine?',
  flags: FLAGS,
};

await runBench(async (argv) => {
  const { flags } = readFlags(COMMAND, argv);
  const shape = shapeNamed(flags.shape);
  const checkpoint = ensureCheckpoint(shape);
  const gguf = ensureGguf(shape, flags.quantization);
  const measured: Record<EngineName, RoundResult[]> = { troupe: [], 'node-llama-cpp': [], 'node-llama-cpp, tuned': [] };
  for (let round = 0; round < flags.rounds; round++) {
    // Who goes first changes, so that a machine that warms up or is throttled does not favour one.
    const order = round % 2 === 0 ? ENGINES : ENGINES.toReversed();
    for (const engine of order) {
      const results = await runRound(engine, {
        model: engine === 'troupe' ? checkpoint : gguf,
        quantization: flags.quantization,
        threads: flags.threads,
        contextLength: CONTEXT_LENGTH,
        decodeSteps: flags['decode-steps'],
        prefillRepeats: flags['prefill-repeats'],
      });
      measured[engine].push(...results);
      const figures = results.map(({ case: name, variant, tokensPerSecond }) => `${name} ${formatNumber(tokensPerSecond)} (${variant})`);
      console.error(`round ${round + 1}/${flags.rounds} ${engine}: ${figures.join(', ')}`);
    }
  }
  const rows = CASES.map((name) => compareCase(name, flags.quantization, measured));
  const cells = rows.map((row) => {
    const tuned = compareCase(row.case, flags.quantization, measured, 'node-llama-cpp, tuned');
    const figures = [row.troupe, row.rival].map(formatNumber);
    return [row.case, row.quantization, ...figures, row.ratio.toFixed(2), formatNumber(tuned.rival), tuned.ratio.toFixed(2)];
  });
  console.log(formatTable(['tokens/s', 'weights', 'troupe', 'node-llama-cpp', 'ratio', 'tuned', 'ratio'], cells));
  if (flags.json !== null) writeFileSync(flags.json, `${JSON.stringify({ rows }, null, 2)}\n`);
});
