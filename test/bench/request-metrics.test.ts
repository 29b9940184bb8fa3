import assert from 'node:assert/strict';
import { test } from 'node:test';
import { e2el, gaps, measureRun, meetsGoals, type RequestRecord, tpot, ttft } from '../../bench/request-metrics.ts';

const record = (changes: Partial<RequestRecord> = {}): RequestRecord => ({
  intendedMs: 1000,
  sentMs: 1100,
  chunkMs: [1300, 1400, 1600],
  lastMs: 1650,
  promptTokens: 10,
  outputTokens: 6,
  cachedTokens: 4,
  error: null,
  ...changes,
});

test('TTFT, ITL, TPOT and E2EL are counted from the sending, TPOT by tokens and not by chunks', () => {
  assert.equal(ttft(record()), 200);
  assert.deepEqual(gaps(record()), [100, 200]);
  assert.equal(e2el(record()), 550);
  assert.equal(tpot(record()), (550 - 200) / 5);
});

test('a request of one token has no TPOT and cannot miss that goal', () => {
  const single = record({ outputTokens: 1, chunkMs: [1300] });
  assert.equal(tpot(single), null);
  assert.equal(meetsGoals(single, [{ metric: 'tpot', limitMs: 1 }]), true);
});

test('goodput counts the requests that keep all goals', () => {
  const slow = record({ chunkMs: [1800], lastMs: 2000, outputTokens: 3 });
  const goals = [
    { metric: 'ttft', limitMs: 200 },
    { metric: 'e2el', limitMs: 1000 },
  ] as const;
  const metrics = measureRun([record(), slow], 1000, 3000, goals);
  assert.equal(metrics.requestThroughput, 1);
  assert.equal(metrics.requestGoodput, 0.5);
  assert.equal(metrics.tokenGoodput, 3);
  assert.equal(measureRun([record()], 1000, 3000, []).requestGoodput, null);
});

test('latencies from the intended sending include the wait in the client', () => {
  const metrics = measureRun([record()], 1000, 2000, []);
  assert.equal(metrics.ttftMs.mean, 200);
  assert.equal(metrics.intendedTtftMs.mean, 300);
  assert.equal(metrics.intendedE2elMs.mean, 650);
});

test('failed requests count as failed and in no other figure', () => {
  const metrics = measureRun([record(), record({ error: 'HTTP 500', chunkMs: [] }), record({ error: 'cut' })], 1000, 2000, []);
  assert.equal(metrics.failed, 2);
  assert.equal(metrics.completed, 1);
  assert.equal(metrics.outputTokens, 6);
  assert.equal(metrics.promptTokens, 10);
  assert.equal(metrics.cachedTokens, 4);
  assert.equal(metrics.ttftMs.count, 1);
});

test('peaks are those of the best second', () => {
  const early = record({ sentMs: 1000, chunkMs: [1100, 1200], lastMs: 1200, outputTokens: 4 });
  const late = record({ sentMs: 1500, chunkMs: [1900, 2100], lastMs: 2100, outputTokens: 10 });
  const metrics = measureRun([early, late], 1000, 2500, []);
  assert.equal(metrics.peakOutputThroughput, 4 + 5);
  assert.equal(metrics.peakConcurrency, 2);
  assert.equal(metrics.durationSeconds, 1.5);
  assert.equal(metrics.outputThroughput, 14 / 1.5);
});

test('the longest gap of each request is reported', () => {
  assert.equal(measureRun([record(), record({ chunkMs: [1200, 1210] })], 1000, 2000, []).maxGapMs.mean, (200 + 10) / 2);
});
