/** Writes protobuf messages: just the four wire forms that ONNX needs. Large byte fields are kept as references, not copied twice. */
export class ProtobufWriter {
  readonly #chunks: Uint8Array[] = [];
  #numBytes = 0;

  /** int32, int64, enum. Negative numbers take ten bytes, as the format asks. */
  int(field: number, value: number | bigint): this {
    return this.#varint(field << 3).#varint(BigInt.asUintN(64, BigInt(value)));
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#varint((field << 3) | 5).#push(bytes);
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#varint((field << 3) | 2)
      .#varint(value.length)
      .#push(value);
  }

  string(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value, 'utf8'));
  }

  message(field: number, value: ProtobufWriter): this {
    this.#varint((field << 3) | 2).#varint(value.#numBytes);
    for (const chunk of value.#chunks) this.#push(chunk);
    return this;
  }

  finish(): Uint8Array {
    const out = new Uint8Array(this.#numBytes);
    let offset = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, offset);
      offset += chunk.length;
    }
    return out;
  }

  #varint(value: number | bigint): this {
    const bytes: number[] = [];
    let rest = BigInt(value);
    while (rest > 127n) {
      bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    bytes.push(Number(rest));
    return this.#push(Uint8Array.from(bytes));
  }

  #push(bytes: Uint8Array): this {
    this.#chunks.push(bytes);
    this.#numBytes += bytes.length;
    return this;
  }
}
