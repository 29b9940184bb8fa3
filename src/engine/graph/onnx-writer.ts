/** Builds an ONNX ModelProto: nodes, attributes, and initialisers that are inline or lie in another file. */
import { ProtobufWriter } from './protobuf.ts';

/** TensorProto.DataType */
export const ONNX_TYPE = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10, bfloat16: 16 } as const;
export type OnnxType = keyof typeof ONNX_TYPE;

/** The domain of ONNX Runtime's own operators. */
export const MICROSOFT = 'com.microsoft';

/** A number is written as INT when it is a bigint, else as FLOAT. */
export type Attribute = bigint | number | string | readonly bigint[];

/** Bytes of a file beside the model; `location` is relative to the folder given to the session. */
export interface ExternalData {
  readonly location: string;
  readonly offset: number;
  readonly numBytes: number;
}

const IR_VERSION = 10;
const OPSET = 21;

export class OnnxWriter {
  readonly #nodes: ProtobufWriter[] = [];
  readonly #initializers: ProtobufWriter[] = [];
  readonly #inputs: ProtobufWriter[] = [];
  readonly #outputs: ProtobufWriter[] = [];
  readonly #known: ProtobufWriter[] = [];
  readonly #names = new Set<string>();
  readonly #domains = new Set<string>([MICROSOFT]);

  /** Dimensions are sizes or the names of sizes that vary. */
  input(name: string, type: OnnxType, shape: readonly (number | string)[]): string {
    this.#inputs.push(valueInfo(name, type, shape));
    return name;
  }

  output(name: string, type: OnnxType, shape: readonly (number | string)[]): void {
    this.#outputs.push(valueInfo(name, type, shape));
  }

  /** Says what shape a value inside the graph has, where that cannot be inferred: behind an operator of ours. */
  annotate(name: string, type: OnnxType, shape: readonly (number | string)[]): void {
    this.#known.push(valueInfo(name, type, shape));
  }

  /** Adds an operator. `outputs` are names, '' for an optional output that nobody reads. Returns the first. */
  node(
    op: string,
    inputs: readonly string[],
    outputs: string | readonly string[],
    attributes: Record<string, Attribute> = {},
    domain = '',
  ): string {
    const names = typeof outputs === 'string' ? [outputs] : outputs;
    const first = names[0]!;
    const node = new ProtobufWriter();
    for (const input of inputs) node.string(1, input);
    for (const output of names) node.string(2, output);
    node.string(3, first).string(4, op);
    for (const [name, value] of Object.entries(attributes)) node.message(5, attribute(name, value));
    if (domain !== '') {
      node.string(7, domain);
      this.#domains.add(domain);
    }
    this.#nodes.push(node);
    return first;
  }

  /** A constant inside the model. Asking twice for a name gives the same constant. */
  constant(name: string, values: Float32Array | BigInt64Array | Int32Array, shape: readonly number[]): string {
    const type = values instanceof Float32Array ? 'float32' : values instanceof Int32Array ? 'int32' : 'int64';
    return this.#initializer(name, type, shape, (tensor) => {
      tensor.bytes(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    });
  }

  /** A vector of int64, as shapes and axes are given. */
  shape(...sizes: readonly number[]): string {
    return this.constant(`shape_${sizes.join('_')}`, BigInt64Array.from(sizes, BigInt), [sizes.length]);
  }

  /** A constant whose bytes stay in their file. */
  external(name: string, type: OnnxType, shape: readonly number[], data: ExternalData): string {
    return this.#initializer(name, type, shape, (tensor) => {
      tensor.message(13, stringEntry('location', data.location));
      tensor.message(13, stringEntry('offset', String(data.offset)));
      tensor.message(13, stringEntry('length', String(data.numBytes)));
      tensor.int(14, 1);
    });
  }

  /** The serialised ModelProto. */
  finish(): Uint8Array {
    const graph = new ProtobufWriter();
    for (const node of this.#nodes) graph.message(1, node);
    graph.string(2, 'decoder');
    for (const initializer of this.#initializers) graph.message(5, initializer);
    for (const input of this.#inputs) graph.message(11, input);
    for (const output of this.#outputs) graph.message(12, output);
    for (const value of this.#known) graph.message(13, value);
    const model = new ProtobufWriter()
      .int(1, IR_VERSION)
      .string(2, 'troupe')
      .message(7, graph)
      .message(8, new ProtobufWriter().string(1, '').int(2, OPSET));
    for (const domain of this.#domains) model.message(8, new ProtobufWriter().string(1, domain).int(2, 1));
    return model.finish();
  }

  #initializer(name: string, type: OnnxType, shape: readonly number[], writeData: (tensor: ProtobufWriter) => void): string {
    if (this.#names.has(name)) return name;
    this.#names.add(name);
    const tensor = new ProtobufWriter();
    for (const size of shape) tensor.int(1, size);
    tensor.int(2, ONNX_TYPE[type]).string(8, name);
    writeData(tensor);
    this.#initializers.push(tensor);
    return name;
  }
}

function valueInfo(name: string, type: OnnxType, shape: readonly (number | string)[]): ProtobufWriter {
  const dimensions = new ProtobufWriter();
  for (const size of shape) {
    dimensions.message(1, typeof size === 'number' ? new ProtobufWriter().int(1, size) : new ProtobufWriter().string(2, size));
  }
  const tensor = new ProtobufWriter().int(1, ONNX_TYPE[type]).message(2, dimensions);
  return new ProtobufWriter().string(1, name).message(2, new ProtobufWriter().message(1, tensor));
}

function attribute(name: string, value: Attribute): ProtobufWriter {
  const writer = new ProtobufWriter().string(1, name);
  if (typeof value === 'bigint') return writer.int(3, value).int(20, 2);
  if (typeof value === 'number') return writer.float(2, value).int(20, 1);
  if (typeof value === 'string') return writer.string(4, value).int(20, 3);
  for (const item of value) writer.int(8, item);
  return writer.int(20, 7);
}

function stringEntry(key: string, value: string): ProtobufWriter {
  return new ProtobufWriter().string(1, key).string(2, value);
}
