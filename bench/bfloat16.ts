/** bfloat16 is the upper half of a float32. */
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The 16 bits, rounded to nearest even. */
export function toBfloat16(value: number): number {
  float[0] = value;
  const word = bits[0]!;
  return (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
}

export function fromBfloat16(value: number): number {
  bits[0] = value << 16;
  return float[0]!;
}
