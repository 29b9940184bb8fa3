/** Stored float formats to float32. Both conversions are exact. */
import { StartupError } from '../core/errors.ts';
import type { StoredDtype } from './safetensors.ts';

/** `bytes` may be reused by the result when it already holds float32. @throws StartupError for other types than BF16, F16, F32. */
export function toFloat32(bytes: Uint8Array, dtype: StoredDtype): Float32Array {
  switch (dtype) {
    case 'F32':
      return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
    case 'F16':
      return float16ToFloat32(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
    default:
      throw new StartupError(`weights of type ${dtype} are not supported; supported are BF16, F16 and F32`);
  }
}

/** bfloat16 is the upper half of a float32. */
function bfloat16ToFloat32(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return new Float32Array(bits.buffer);
}

let float16Table: Float32Array | null = null;

/** All 65,536 values once (256 KB), then a look-up each. */
function float16ToFloat32(halves: Uint16Array): Float32Array {
  float16Table ??= Float32Array.from({ length: 65_536 }, (_, half) => float16Value(half));
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = float16Table[halves[i]!]!;
  return values;
}

function float16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
