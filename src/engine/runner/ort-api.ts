/**
 * The ONNX Runtime C API through koffi: bindings and nothing else. A handle is an address (bigint); every status is checked.
 * Functions are entries of the append-only OrtApi table, named here by their index in onnxruntime_c_api.h.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi from 'koffi';
import { StartupError } from '../../core/errors.ts';

/** The address of a native object; 0n is null. */
export type Handle = bigint;

/** A native call failed; the engine group that sees one cannot go on. */
export class RunnerError extends Error {
  override readonly name = 'RunnerError';
  /** OrtErrorCode, e.g. 6 = runtime exception, 15 = device reset. */
  readonly code: number;
  /** The C function that failed. */
  readonly call: string;

  constructor(code: number, message: string, call: string) {
    super(`ONNX Runtime ${call} failed (code ${code}): ${message}`);
    this.code = code;
    this.call = call;
  }
}

/** OrtApi version that these indices and signatures belong to; later libraries still serve it. */
const API_VERSION = 22;
const NUM_USED_ENTRIES = 217;

const PTR = 'void *';
const OUT = koffi.out(koffi.pointer(PTR));

/** name → [index in OrtApi, argument types]; all of these return OrtStatus*. */
const STATUS_CALLS = {
  CreateEnv: [3, ['int', 'str', OUT]],
  CreateSessionFromArray: [8, [PTR, PTR, 'size_t', PTR, OUT]],
  Run: [9, [PTR, PTR, PTR, PTR, 'size_t', PTR, 'size_t', PTR]],
  CreateSessionOptions: [10, [OUT]],
  EnableProfiling: [14, [PTR, 'str']],
  DisableMemPattern: [17, [PTR]],
  SetSessionGraphOptimizationLevel: [23, [PTR, 'int']],
  SetIntraOpNumThreads: [24, [PTR, 'int']],
  SetInterOpNumThreads: [25, [PTR, 'int']],
  CreateCustomOpDomain: [26, ['str', OUT]],
  CustomOpDomain_Add: [27, [PTR, PTR]],
  AddCustomOpDomain: [28, [PTR, PTR]],
  CreateTensorAsOrtValue: [48, [PTR, PTR, 'size_t', 'int', OUT]],
  CreateTensorWithDataAsOrtValue: [49, [PTR, PTR, 'size_t', PTR, 'size_t', 'int', OUT]],
  GetTensorMutableData: [51, [PTR, OUT]],
  GetDimensionsCount: [61, [PTR, OUT]],
  GetDimensions: [62, [PTR, PTR, 'size_t']],
  GetTensorTypeAndShape: [65, [PTR, OUT]],
  CreateMemoryInfo: [68, ['str', 'int', 'int', 'int', OUT]],
  CreateCpuMemoryInfo: [69, ['int', 'int', OUT]],
  KernelContext_GetInput: [90, [PTR, 'size_t', OUT]],
  KernelContext_GetOutput: [91, [PTR, 'size_t', PTR, 'size_t', OUT]],
  AddSessionConfigEntry: [130, [PTR, 'str', 'str']],
  CreateAllocator: [131, [PTR, PTR, OUT]],
  SessionEndProfiling: [110, [PTR, PTR, OUT]],
  GetAllocatorWithDefaultOptions: [78, [OUT]],
  SessionOptionsAppendExecutionProviderCudaV2: [204, [PTR, PTR]],
  CreateCudaProviderOptions: [205, [OUT]],
  UpdateCudaProviderOptions: [206, [PTR, PTR, PTR, 'size_t']],
  SessionOptionsAppendExecutionProvider: [216, [PTR, 'str', PTR, PTR, 'size_t']],
} as const satisfies Record<string, readonly [number, readonly unknown[]]>;

const RELEASE_CALLS = {
  ReleaseEnv: 92,
  ReleaseStatus: 93,
  ReleaseMemoryInfo: 94,
  ReleaseSession: 95,
  ReleaseValue: 96,
  ReleaseTensorTypeAndShapeInfo: 99,
  ReleaseSessionOptions: 100,
  ReleaseCustomOpDomain: 101,
  ReleaseAllocator: 132,
  ReleaseCudaProviderOptions: 208,
} as const;

type StatusCall = keyof typeof STATUS_CALLS;
type ReleaseCall = keyof typeof RELEASE_CALLS;
type NativeArgument = bigint | number | string | ArrayBufferView | [bigint] | null;

export class OrtApi {
  /** Version of the library, e.g. "1.30.0". */
  readonly version: string;
  readonly #statusCalls: Record<StatusCall, (...args: NativeArgument[]) => bigint | null>;
  readonly #releaseCalls: Record<ReleaseCall, (handle: Handle) => void>;
  readonly #errorCode: (status: bigint) => number;
  readonly #errorMessage: (status: bigint) => string;
  readonly #createStatus: (code: number, message: string) => bigint;

  /** @throws StartupError when the library cannot be loaded or is too old. */
  constructor(libraryPath: string = defaultLibraryPath()) {
    const { api, version } = openLibrary(libraryPath);
    const entries = koffi.decode(api, koffi.array('uintptr_t', NUM_USED_ENTRIES)) as (number | bigint)[];
    const bind = (index: number, result: string, args: readonly unknown[]): never =>
      koffi.decode(BigInt(entries[index]!), koffi.proto(result, args as never)) as never;
    this.version = version;
    this.#errorCode = bind(1, 'int', [PTR]);
    this.#errorMessage = bind(2, 'str', [PTR]);
    this.#createStatus = bind(0, PTR, ['int', 'str']);
    this.#statusCalls = mapValues(STATUS_CALLS, ([index, args]) => bind(index, PTR, args));
    this.#releaseCalls = mapValues(RELEASE_CALLS, (index) => bind(index, 'void', [PTR]));
  }

  /** Calls a function that returns only a status. @throws RunnerError */
  call(name: StatusCall, ...args: NativeArgument[]): void {
    const status = this.#statusCalls[name](...args);
    if (status) this.#fail(name, status);
  }

  /** Calls a function whose last argument receives a handle, and returns that. @throws RunnerError */
  create(name: StatusCall, ...args: NativeArgument[]): Handle {
    const out: [bigint] = [0n];
    const status = this.#statusCalls[name](...args, out);
    if (status) this.#fail(name, status);
    return out[0];
  }

  /** An error for the library to pass on, made in a callback that it called; the library releases it. */
  createStatus(code: number, message: string): Handle {
    return this.#createStatus(code, message);
  }

  release(name: ReleaseCall, handle: Handle): void {
    this.#releaseCalls[name](handle);
  }

  #fail(call: StatusCall, status: bigint): never {
    const error = new RunnerError(this.#errorCode(status), this.#errorMessage(status), call);
    this.#releaseCalls.ReleaseStatus(status);
    throw error;
  }
}

/** Strings as a native `char**`. The result must stay referenced while native code may read it. */
export function nativeStrings(strings: readonly string[]): { readonly pointers: BigUint64Array; readonly bytes: readonly Buffer[] } {
  const bytes = strings.map((text) => Buffer.from(`${text}\0`, 'utf8'));
  return { pointers: BigUint64Array.from(bytes, (buffer) => koffi.address(buffer)), bytes };
}

/** The address of an array's first byte. The array must stay referenced while native code may use it. */
export function addressOf(array: ArrayBufferView): bigint {
  return koffi.address(array);
}

/** The library inside the onnxruntime-node package. */
function defaultLibraryPath(): string {
  const packageDir = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const name = { linux: 'libonnxruntime.so.1', darwin: 'libonnxruntime.1.dylib', win32: 'onnxruntime.dll' }[process.platform as string];
  if (name === undefined) throw new StartupError(`No ONNX Runtime is packaged for ${process.platform}; give --onnxruntime-library`);
  return join(packageDir, 'bin', 'napi-v6', process.platform, process.arch, name);
}

/** Libraries stay loaded: koffi unloads one whose handle is collected, although addresses of its functions are still in use. */
const openLibraries = new Map<string, ReturnType<typeof koffi.load>>();

function openLibrary(path: string): { api: bigint; version: string } {
  try {
    raiseStackSize();
    const library = openLibraries.get(path) ?? koffi.load(path);
    openLibraries.set(path, library);
    const base = library.func('OrtGetApiBase', PTR, [])() as bigint;
    const [getApi, getVersion] = koffi.decode(base, koffi.array('uintptr_t', 2)) as [number | bigint, number | bigint];
    const api = (koffi.decode(BigInt(getApi), koffi.proto(PTR, ['uint32_t'])) as (version: number) => bigint | null)(API_VERSION);
    const version = (koffi.decode(BigInt(getVersion), koffi.proto('str', [])) as () => string)();
    if (!api) throw new Error(`version ${version} is too old, 1.${API_VERSION} or later is needed`);
    return { api, version };
  } catch (cause) {
    throw new StartupError(`ONNX Runtime cannot be loaded from ${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Native code runs on koffi's own stack, and session creation recurses deeply. Only the first library that a thread loads can change it. */
export function raiseStackSize(): void {
  const enough = 8 * 1024 * 1024;
  if ((koffi.config().sync_stack_size ?? 0) < enough) koffi.config({ sync_stack_size: enough });
}

function mapValues<Key extends string, In, Out>(record: Record<Key, In>, map: (value: In) => Out): Record<Key, Out> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value as In)])) as Record<Key, Out>;
}
