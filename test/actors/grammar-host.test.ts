/** Which cell a grammar goes to, with real cells. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrammarHost } from '../../src/actors/grammar-host.ts';
import { systemClock } from '../../src/system-clock.ts';
import { constraintFormat } from '../../src/text/constraint/constraint-format.ts';
import { MINI_DIR } from '../support/mini-server.ts';
import { silentLog } from '../support/silent-log.ts';

/** Compiles for some tenths of a second: each length is a state that looks at every token. */
const slowGrammar = (maxLength: number): string => {
  const format = constraintFormat({ type: 'json_schema', schema: { type: 'string', minLength: 30, maxLength }, param: 'x' });
  return JSON.stringify({ type: 'structural_tag', format });
};

test('more slow grammars than cells are served together: none is refused, one cell stays empty', async (t) => {
  const rankWake = new SharedArrayBuffer(4);
  const host = new GrammarHost({ clock: systemClock, log: silentLog, modelDir: MINI_DIR, rankWake, maxCells: 2 });
  t.after(() => host.close());
  const open = (maxLength: number) =>
    host.open({ text: slowGrammar(maxLength), choices: [{ index: 0, outputIds: [] }], maxTokens: 64, runsAhead: true });
  const handles = await Promise.all([60, 61, 62, 63].map(open));
  assert.deepEqual(
    handles.map(({ matchers }) => matchers.length),
    [1, 1, 1, 1],
  );
  assert.deepEqual([host.numMatchers, host.numCells], [4, 2]);
});
