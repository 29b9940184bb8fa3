/** One ONNX Runtime session: created from a serialised graph, run with prepared arrays of values. */
import { StartupError } from '../../core/errors.ts';
import { addressOf, type Handle, nativeStrings, type OrtApi } from './ort-api.ts';

export type Device = 'cpu' | 'webgpu' | 'cuda';

export interface SessionOptions {
  readonly device: Device;
  readonly deviceId: number;
  /** Threads of one operator, the caller's included. */
  readonly threads: number;
  /** Folder that the graph's external data lies in. */
  readonly externalDataFolder: string;
  /** Writes a profile there when the session closes. */
  readonly profilePrefix?: string;
  /** Operators of ours in the graph; they must outlive the session. */
  readonly customOps?: { readonly domain: Handle; takeFailure(): Error | null };
}

/** Element types as ONNX numbers them. */
export const ELEMENT = { float32: 1, int32: 6, int64: 7 } as const;
const ELEMENT_BYTES: Readonly<Record<number, number>> = { 1: 4, 6: 4, 7: 8 };

const LOG_ERRORS = 3;
const OPTIMIZE_ALL = 99;
const DEVICE_ALLOCATOR = 0;
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;

export class OrtSession {
  readonly api: OrtApi;
  readonly #env: Handle;
  readonly #session: Handle;
  readonly #cpuMemory: Handle;
  readonly #options: SessionOptions;
  #deviceAllocator: Handle = 0n;

  /** Blocks while the graph is optimised and the weights are packed. @throws RunnerError */
  constructor(api: OrtApi, graph: Uint8Array, options: SessionOptions) {
    this.api = api;
    this.#options = options;
    this.#env = api.create('CreateEnv', LOG_ERRORS, 'troupe');
    this.#cpuMemory = api.create('CreateCpuMemoryInfo', ARENA_ALLOCATOR, DEFAULT_MEMORY);
    const native = createSessionOptions(api, options);
    try {
      this.#session = api.create('CreateSessionFromArray', this.#env, graph, graph.length, native);
    } finally {
      api.release('ReleaseSessionOptions', native);
    }
  }

  /** A tensor over memory that the caller keeps alive; `address` is where it begins. */
  tensor(address: number | bigint, shape: readonly number[], element: number): Handle {
    const numBytes = shape.reduce((product, size) => product * size, ELEMENT_BYTES[element]!);
    const sizes = BigInt64Array.from(shape, BigInt);
    return this.api.create('CreateTensorWithDataAsOrtValue', this.#cpuMemory, BigInt(address), numBytes, sizes, shape.length, element);
  }

  /** A tensor over a typed array, from element `offset` on. The array must stay referenced as long as the tensor lives. */
  tensorOver(array: Float32Array | Int32Array, offset: number, shape: readonly number[]): Handle {
    const address = addressOf(array) + BigInt(offset * array.BYTES_PER_ELEMENT);
    return this.tensor(address, shape, array instanceof Float32Array ? ELEMENT.float32 : ELEMENT.int32);
  }

  /** A tensor in the device's own memory, uninitialised. */
  deviceTensor(shape: readonly number[], element: number): Handle {
    if (this.#deviceAllocator === 0n) {
      const name = this.#options.device === 'webgpu' ? 'WebGPU_Buf' : 'Cuda';
      const memory = this.api.create('CreateMemoryInfo', name, DEVICE_ALLOCATOR, this.#options.deviceId, DEFAULT_MEMORY);
      this.#deviceAllocator = this.api.create('CreateAllocator', this.#session, memory);
      this.api.release('ReleaseMemoryInfo', memory);
    }
    return this.api.create('CreateTensorAsOrtValue', this.#deviceAllocator, BigInt64Array.from(shape, BigInt), shape.length, element);
  }

  releaseTensor(tensor: Handle): void {
    this.api.release('ReleaseValue', tensor);
  }

  /**
   * Runs the graph on prepared values, blocking. `outputs` must name a value for each name: nothing is allocated.
   * @throws RunnerError, or what an operator of ours threw.
   */
  run(inputNames: NativeNames, inputs: BigUint64Array, outputNames: NativeNames, outputs: BigUint64Array): void {
    try {
      this.#run(inputNames, inputs, outputNames, outputs);
    } catch (error) {
      throw this.#options.customOps?.takeFailure() ?? error;
    }
  }

  #run(inputNames: NativeNames, inputs: BigUint64Array, outputNames: NativeNames, outputs: BigUint64Array): void {
    this.api.call(
      'Run',
      this.#session,
      null,
      inputNames.pointers,
      inputs,
      inputs.length,
      outputNames.pointers,
      outputNames.pointers.length,
      outputs,
    );
  }

  close(): void {
    if (this.#options.profilePrefix !== undefined) {
      this.api.create('SessionEndProfiling', this.#session, this.api.create('GetAllocatorWithDefaultOptions'));
    }
    if (this.#deviceAllocator !== 0n) this.api.release('ReleaseAllocator', this.#deviceAllocator);
    this.api.release('ReleaseSession', this.#session);
    this.api.release('ReleaseMemoryInfo', this.#cpuMemory);
    this.api.release('ReleaseEnv', this.#env);
  }
}

export type NativeNames = ReturnType<typeof nativeStrings>;

function createSessionOptions(api: OrtApi, options: SessionOptions): Handle {
  const native = api.create('CreateSessionOptions');
  api.call('SetIntraOpNumThreads', native, options.threads);
  api.call('SetInterOpNumThreads', native, 1);
  api.call('SetSessionGraphOptimizationLevel', native, OPTIMIZE_ALL);
  // Shapes differ from chunk to chunk: a memory plan per shape would only grow.
  api.call('DisableMemPattern', native);
  const entries: Record<string, string> = {
    'session.model_external_initializers_file_folder_path': options.externalDataFolder,
    // Threads spin between the operators of a run, and leave the cores to the other processes between runs.
    'session.force_spinning_stop': '1',
    // A thread that waits longer than this sleeps: beside a busy process, spinning takes the core its partner needs (decisions/0006).
    'session.intra_op.spin_duration_us': '20',
    // Work in pieces of falling size, so that a thread which lost its core holds up the others for a small piece only.
    'session.dynamic_block_base': '4',
    'session.use_device_allocator_for_initializers': '1',
  };
  for (const [key, value] of Object.entries(entries)) api.call('AddSessionConfigEntry', native, key, value);
  if (options.profilePrefix !== undefined) api.call('EnableProfiling', native, options.profilePrefix);
  if (options.customOps !== undefined) api.call('AddCustomOpDomain', native, options.customOps.domain);
  appendProvider(api, native, options);
  return native;
}

/** @throws StartupError when the machine has no such device or the library no such provider. */
function appendProvider(api: OrtApi, native: Handle, { device, deviceId }: SessionOptions): void {
  try {
    if (device === 'webgpu') appendWebGpu(api, native);
    if (device === 'cuda') appendCuda(api, native, deviceId);
  } catch (cause) {
    const reason = (cause as Error).message.split('\n')[0];
    throw new StartupError(`--device ${device} is not available on this machine; --device cpu always is. (${reason})`, { cause });
  }
}

function appendWebGpu(api: OrtApi, native: Handle): void {
  const keys = nativeStrings(['validationMode']);
  const values = nativeStrings(['basic']);
  api.call('SessionOptionsAppendExecutionProvider', native, 'WebGPU', keys.pointers, values.pointers, 1);
}

function appendCuda(api: OrtApi, native: Handle, deviceId: number): void {
  const cuda = api.create('CreateCudaProviderOptions');
  try {
    const keys = nativeStrings(['device_id', 'arena_extend_strategy']);
    const values = nativeStrings([String(deviceId), 'kSameAsRequested']);
    api.call('UpdateCudaProviderOptions', cuda, keys.pointers, values.pointers, 2);
    api.call('SessionOptionsAppendExecutionProviderCudaV2', native, cuda);
  } finally {
    api.release('ReleaseCudaProviderOptions', cuda);
  }
}
