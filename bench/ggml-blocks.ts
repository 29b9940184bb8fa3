/**
 * llama.cpp's weight formats: blocks of 32 values that share one float16 scale.
 * The rounding is that of ggml's reference quantisers (`quantize_row_q4_0_ref`, `quantize_row_q8_0_ref`).
 */

export const BLOCK_VALUES = 32;

export interface BlockFormat {
  readonly name: 'Q4_0' | 'Q8_0';
  /** The number of this type in ggml's `ggml_type`. */
  readonly ggmlType: number;
  /** Its number as a whole file's type (`llama_ftype`). */
  readonly fileType: number;
  readonly bytesPerBlock: number;
  /** Writes the block of `values[from … from + 31]` at `out[at …]`. */
  quantize(values: Float32Array, from: number, out: Uint8Array, at: number): void;
}

/** 4 bits: value = scale × (quant − 8); the value of largest magnitude becomes −8. Byte j holds values j (low half) and j + 16. */
export const Q4_0: BlockFormat = {
  name: 'Q4_0',
  ggmlType: 2,
  fileType: 2,
  bytesPerBlock: 2 + BLOCK_VALUES / 2,
  quantize(values, from, out, at) {
    let extreme = 0;
    for (let index = from; index < from + BLOCK_VALUES; index++) {
      if (Math.abs(values[index]!) > Math.abs(extreme)) extreme = values[index]!;
    }
    const scale = extreme / -8;
    const inverse = scale === 0 ? 0 : 1 / scale;
    writeFloat16(scale, out, at);
    for (let index = 0; index < BLOCK_VALUES / 2; index++) {
      const low = Math.min(15, Math.trunc(values[from + index]! * inverse + 8.5));
      const high = Math.min(15, Math.trunc(values[from + index + BLOCK_VALUES / 2]! * inverse + 8.5));
      out[at + 2 + index] = low | (high << 4);
    }
  },
};

/** 8 bits: value = scale × quant; the largest magnitude becomes 127. */
export const Q8_0: BlockFormat = {
  name: 'Q8_0',
  ggmlType: 8,
  fileType: 7,
  bytesPerBlock: 2 + BLOCK_VALUES,
  quantize(values, from, out, at) {
    let largest = 0;
    for (let index = from; index < from + BLOCK_VALUES; index++) largest = Math.max(largest, Math.abs(values[index]!));
    const scale = largest / 127;
    const inverse = scale === 0 ? 0 : 1 / scale;
    writeFloat16(scale, out, at);
    for (let index = 0; index < BLOCK_VALUES; index++) out[at + 2 + index] = Math.round(values[from + index]! * inverse);
  },
};

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Little endian, rounded to nearest even; magnitudes from 2^-24 to 65,504 (scales of weights are far inside). */
function writeFloat16(value: number, out: Uint8Array, at: number): void {
  float[0] = value;
  const word = bits[0]!;
  const sign = (word >>> 16) & 0x8000;
  const exponent = ((word >>> 23) & 0xff) - 127 + 15;
  let half: number;
  if (exponent >= 1) {
    const mantissa = word & 0x7f_ffff;
    half = (exponent << 10) | (mantissa >>> 13);
    const rest = mantissa & 0x1fff;
    if (rest > 0x1000 || (rest === 0x1000 && (half & 1) === 1)) half++;
  } else {
    half = Math.round(Math.abs(value) * 2 ** 24);
  }
  out[at] = half & 0xff;
  out[at + 1] = (sign | half) >>> 8;
}
