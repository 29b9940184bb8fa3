/** What `--model` may say: a folder, or a hub id whose snapshot lies in the local Hugging Face cache. Nothing is downloaded. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { StartupError } from '../core/errors.ts';
import { readSafetensorsMetadata } from './safetensors.ts';

export interface ResolvedModel {
  /** Absolute path of the folder with config.json and the weights. */
  readonly dir: string;
  /** What replies call the model by default: the folder's basename, or the hub id's last part. */
  readonly name: string;
}

const HUB_ID = /^[\w.-]+\/[\w.-]+$/;

/** @throws StartupError saying what is missing, or what to download where. */
export function resolveModel(model: string, env: NodeJS.ProcessEnv = process.env): ResolvedModel {
  const dir = resolve(model);
  if (existsSync(dir) && statSync(dir).isDirectory()) {
    refusePaddleWeights(dir, model);
    if (!existsSync(join(dir, 'config.json'))) throw new StartupError(`${dir}: config.json is missing: this is not a model folder`);
    return { dir, name: lastPart(dir) };
  }
  if (!HUB_ID.test(model) || /^\.\.?\//.test(model))
    throw new StartupError(`${model}: no such folder, and not a hub id like baidu/ERNIE-4.5-0.3B-PT`);
  return { dir: hubSnapshot(model, hubCache(env)), name: lastPart(model) };
}

/** `HF_HUB_CACHE`, else `HF_HOME/hub`, else `~/.cache/huggingface/hub`, as the hub's own tools look. */
function hubCache(env: NodeJS.ProcessEnv): string {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'huggingface');
  return env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub');
}

function hubSnapshot(id: string, cache: string): string {
  const repo = join(cache, `models--${id.replace('/', '--')}`);
  const dir = snapshotOf(repo);
  if (/-Paddle$/i.test(id)) throw paddleError(id, id);
  if (dir === null) {
    throw new StartupError(
      `${id}: not in the local Hugging Face cache (${cache}). Download it first: hf download ${id} --cache-dir ${cache}`,
    );
  }
  refusePaddleWeights(dir, id);
  if (!existsSync(join(dir, 'config.json'))) {
    throw new StartupError(
      `${id}: the download in ${dir} is incomplete: config.json is missing. Run again: hf download ${id} --cache-dir ${cache}`,
    );
  }
  return dir;
}

/** The snapshot that `main` names, else the only one. */
function snapshotOf(repo: string): string | null {
  const snapshots = join(repo, 'snapshots');
  if (!existsSync(snapshots)) return null;
  const main = join(repo, 'refs', 'main');
  const revision = existsSync(main) ? readFileSync(main, 'utf8').trim() : null;
  if (revision !== null && existsSync(join(snapshots, revision))) return join(snapshots, revision);
  const all = readdirSync(snapshots);
  return all.length === 1 && all[0] !== undefined ? join(snapshots, all[0]) : null;
}

/**
 * Paddle's files have the same names but other layouts (weights transposed), so they must not be taken for the ones we read:
 * `*.pdparams`, or safetensors written by Paddle. Unmarked ones are noticed by their transposed shapes (weights.ts).
 */
function refusePaddleWeights(dir: string, model: string): void {
  const names = readdirSync(dir);
  const hasPaddleFile = names.some((name) => name.endsWith('.pdparams') || name.endsWith('.pdmodel'));
  const safetensors = names.find((name) => name.endsWith('.safetensors'));
  const isMarked = safetensors !== undefined && /^(pd|paddle)$/.test(readSafetensorsMetadata(join(dir, safetensors)).format ?? '');
  if (
    /-Paddle$/i.test(lastPart(dir)) ||
    (hasPaddleFile && safetensors === undefined) ||
    isMarked ||
    mentionsPaddle(join(dir, 'config.json'))
  ) {
    throw paddleError(model, lastPart(model));
  }
}

function mentionsPaddle(configFile: string): boolean {
  if (!existsSync(configFile)) return false;
  return /"paddle(nlp|formers|paddle)?_version"/.test(readFileSync(configFile, 'utf8'));
}

function paddleError(model: string, name: string): StartupError {
  const variant = /-Paddle$/i.test(name) ? name.replace(/-Paddle$/i, '-PT') : /-PT$/.test(name) ? name : `${name}-PT`;
  return new StartupError(`${model}: these are Paddle weights, which are laid out differently. Take the PyTorch variant: ${variant}`);
}

function lastPart(path: string): string {
  return path.split(/[/\\]/).filter(Boolean).at(-1) ?? path;
}
