/**
 * The GPU path without a GPU: SwiftShader is a Vulkan driver that runs on the CPU (Debian's chromium package has it). Node runs each
 * test file in a process of its own, which the provider needs. Slow, so one oracle, two prompts.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { oracleDir, readGolden } from '../../support/oracles.ts';
import { createTestRunner, maxAbsoluteDifference, RunnerDriver } from '../../support/runner-driver.ts';

const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';
process.env.VK_ICD_FILENAMES ??= SWIFTSHADER;

/** Other kernels than on a CPU round otherwise. */
const TOLERANCE = 2e-4;

test('on WebGPU logits and a greedy continuation agree with transformers', () => {
  assert(existsSync(process.env.VK_ICD_FILENAMES!), `${process.env.VK_ICD_FILENAMES} is missing: install chromium and libvulkan1`);
  const modelDir = oracleDir('ernie4_5');
  const { runner } = createTestRunner({ modelDir, device: 'webgpu', layout: { maxNumSeqs: 2, maxModelLen: 127, blockSize: 16 } });
  assert.equal(runner.canCopyBlocks, false);
  const driver = new RunnerDriver(runner);
  const long = readGolden(modelDir, 64);
  const { logits } = driver.prefill(0, long.inputIds);
  assert(maxAbsoluteDifference(logits, long.logits) <= TOLERANCE, `off by ${maxAbsoluteDifference(logits, long.logits)}`);
  const short = readGolden(modelDir, 7);
  assert.deepEqual(driver.greedy(1, short.inputIds, 16), Array.from(short.greedyIds.subarray(0, 16)));
  runner.close();
});
