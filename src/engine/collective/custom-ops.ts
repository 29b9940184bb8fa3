/**
 * The two operators through which a rank's graph meets the others, as ONNX Runtime custom operators whose kernels are JavaScript, called
 * on the thread that called Run:
 *
 *   AllGather      [..., n] → [T, ..., n]   every rank's tensor, in rank order, on every rank
 *   GatherColumns  [..., n] → [..., N]      the ranks' columns side by side on rank 0; on the others their own, for nobody
 */
import koffi from 'koffi';
import type { Handle, OrtApi } from '../runner/ort-api.ts';
import { ELEMENT } from '../runner/ort-session.ts';
import type { Collective } from './collective.ts';
import { memmove } from './shared-memory.ts';

export const COLLECTIVE_DOMAIN = 'troupe.collective';

/** OrtCustomOp as of this version has KernelComputeV2, which can report an error, and InferOutputShapeFn is not asked for. */
const STRUCT_VERSION = 16;
const NUM_FIELDS = 26;
/** Positions of the struct's pointers. */
const FIELD = {
  CreateKernel: 1,
  GetName: 2,
  GetExecutionProviderType: 3,
  GetInputType: 4,
  GetInputTypeCount: 5,
  GetOutputType: 6,
  GetOutputTypeCount: 7,
  KernelDestroy: 9,
  GetInputCharacteristic: 10,
  GetOutputCharacteristic: 11,
  GetInputMemoryType: 12,
  KernelComputeV2: 18,
} as const;
const RUNTIME_EXCEPTION = 6;
const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

type Compute = (input: number, shape: readonly number[], allocate: (shape: readonly number[]) => number) => void;

export class CollectiveOps {
  /** For AddCustomOpDomain. */
  readonly domain: Handle;
  readonly #api: OrtApi;
  readonly #collective: Collective;
  readonly #copy = memmove();
  /** Native code holds addresses of these for as long as sessions live. */
  readonly #kept: unknown[] = [];
  readonly #callbacks: bigint[] = [];
  #failure: Error | null = null;

  /** @param partWidths columns of each rank's part in GatherColumns. */
  constructor(api: OrtApi, collective: Collective, partWidths: readonly number[]) {
    this.#api = api;
    this.#collective = collective;
    // The library's map of domains is of the whole process: each rank has a domain of its own there.
    this.domain = api.create('CreateCustomOpDomain', COLLECTIVE_DOMAIN);
    this.#add('AllGather', (input, shape, allocate) => this.#allGather(input, shape, allocate));
    this.#add('GatherColumns', (input, shape, allocate) => this.#gather(input, shape, allocate, partWidths));
  }

  /** Why the last run failed, where an exchange was the reason; asked once. */
  takeFailure(): Error | null {
    const failure = this.#failure;
    this.#failure = null;
    return failure;
  }

  close(): void {
    this.#api.release('ReleaseCustomOpDomain', this.domain);
    for (const callback of this.#callbacks) koffi.unregister(callback);
  }

  #allGather(input: number, shape: readonly number[], allocate: (shape: readonly number[]) => number): void {
    const { size } = this.#collective;
    const output = allocate([size, ...shape]);
    const rowBytes = shape.at(-1)! * FLOAT_BYTES;
    const numRows = shape.slice(0, -1).reduce((product, length) => product * length, 1);
    this.#collective.exchange({
      from: input,
      numRows,
      rowBytes: new Array<number>(size).fill(rowBytes),
      isForRoot: false,
      place: (rank, address, firstRow, count) => this.#copy(output + (rank * numRows + firstRow) * rowBytes, address, count * rowBytes),
    });
  }

  #gather(input: number, shape: readonly number[], allocate: (shape: readonly number[]) => number, widths: readonly number[]): void {
    const isRoot = this.#collective.rank === 0;
    const total = widths.reduce((sum, width) => sum + width, 0);
    const output = allocate(isRoot ? [...shape.slice(0, -1), total] : shape);
    const begins = widths.map((_, rank) => widths.slice(0, rank).reduce((sum, width) => sum + width, 0));
    this.#collective.exchange({
      from: input,
      numRows: shape.slice(0, -1).reduce((product, length) => product * length, 1),
      rowBytes: widths.map((width) => width * FLOAT_BYTES),
      isForRoot: true,
      place: (rank, address, firstRow, count) => {
        const numBytes = widths[rank]! * FLOAT_BYTES;
        for (let row = 0; row < count; row++) {
          this.#copy(output + ((firstRow + row) * total + begins[rank]!) * FLOAT_BYTES, address + row * numBytes, numBytes);
        }
      },
    });
  }

  #add(name: string, compute: Compute): void {
    const api = this.#api;
    const nameBytes = Buffer.from(`${name}\0`);
    const fields = new BigUint64Array(NUM_FIELDS);
    this.#kept.push(nameBytes, fields);
    const self = koffi.address(fields);
    fields[0] = BigInt(STRUCT_VERSION);
    const set = (field: keyof typeof FIELD, result: string, args: readonly string[], run: (...args: never[]) => unknown): void => {
      const callback = koffi.register(run as never, koffi.pointer(koffi.proto(result, args as never))) as unknown as bigint;
      this.#callbacks.push(callback);
      fields[FIELD[field]] = BigInt(callback);
    };
    set('CreateKernel', 'uintptr_t', ['uintptr_t', 'uintptr_t', 'uintptr_t'], () => self);
    set('GetName', 'uintptr_t', ['uintptr_t'], () => koffi.address(nameBytes));
    set('GetExecutionProviderType', 'uintptr_t', ['uintptr_t'], () => 0);
    set('GetInputType', 'int', ['uintptr_t', 'size_t'], () => ELEMENT.float32);
    set('GetInputTypeCount', 'size_t', ['uintptr_t'], () => 1);
    set('GetOutputType', 'int', ['uintptr_t', 'size_t'], () => ELEMENT.float32);
    set('GetOutputTypeCount', 'size_t', ['uintptr_t'], () => 1);
    set('KernelDestroy', 'void', ['uintptr_t'], () => {});
    set('GetInputCharacteristic', 'int', ['uintptr_t', 'size_t'], () => 0);
    set('GetOutputCharacteristic', 'int', ['uintptr_t', 'size_t'], () => 0);
    set('GetInputMemoryType', 'int', ['uintptr_t', 'size_t'], () => 0);
    set('KernelComputeV2', 'uintptr_t', ['uintptr_t', 'uintptr_t'], (_kernel: bigint, context: bigint | number) =>
      this.#compute(BigInt(context), compute),
    );
    api.call('CustomOpDomain_Add', this.domain, self);
  }

  /** @returns an OrtStatus*, 0n = well. Nothing may be thrown through native code. */
  #compute(context: Handle, compute: Compute): Handle {
    try {
      const api = this.#api;
      const input = api.create('KernelContext_GetInput', context, 0);
      const allocate = (shape: readonly number[]): number => {
        const output = api.create('KernelContext_GetOutput', context, 0, BigInt64Array.from(shape, BigInt), shape.length);
        return Number(api.create('GetTensorMutableData', output));
      };
      compute(Number(api.create('GetTensorMutableData', input)), shapeOf(api, input), allocate);
      return 0n;
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      return this.#api.createStatus(RUNTIME_EXCEPTION, this.#failure.message);
    }
  }
}

function shapeOf(api: OrtApi, tensor: Handle): readonly number[] {
  const info = api.create('GetTensorTypeAndShape', tensor);
  try {
    const rank = Number(api.create('GetDimensionsCount', info));
    const sizes = new BigInt64Array(rank);
    api.call('GetDimensions', info, sizes, rank);
    return Array.from(sizes, Number);
  } finally {
    api.release('ReleaseTensorTypeAndShapeInfo', info);
  }
}
