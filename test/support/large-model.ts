/** A checkpoint that takes a second or two to quantise, so that a test can act meanwhile. Random weights: what it says has no meaning. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Shape, shapeNamed } from '../../bench/shapes.ts';
import { writeCheckpoint } from '../../bench/write-checkpoint.ts';
import { temporaryFolder } from './checkpoint-folder.ts';

const SHAPE: Shape = { ...shapeNamed('ernie-4.5-0.3b'), name: 'large', numLayers: 6, vocabSize: 4096, maxPositionEmbeddings: 2048 };

/** About 80 million parameters, 160 MB on disk; gone with the test. @returns its folder. */
export function largeModel(t: TestContext): string {
  const folder = join(temporaryFolder(t), SHAPE.name);
  writeCheckpoint(SHAPE, folder);
  return folder;
}
