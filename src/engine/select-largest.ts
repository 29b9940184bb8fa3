/**
 * The k largest of many values in one pass: a heap of k ids whose root is the smallest kept. Once the heap holds good values, nearly
 * every other value fails one comparison, so that a vocabulary of 100k costs little more than reading it.
 */

/**
 * @param k 1 … values.length.
 * @returns ids of the k largest values, largest first; of equal values the lower id counts as larger.
 */
export function selectLargest(values: Float64Array | Float32Array, k: number): Int32Array {
  const heap = new Int32Array(k);
  for (let id = 0; id < k; id++) heap[id] = id;
  for (let node = (k >> 1) - 1; node >= 0; node--) siftDown(heap, k, node, values);
  for (let id = k; id < values.length; id++) {
    if (values[id]! > values[heap[0]!]!) {
      heap[0] = id;
      siftDown(heap, k, 0, values);
    }
  }
  for (let size = k - 1; size > 0; size--) {
    const smallest = heap[0]!;
    heap[0] = heap[size]!;
    heap[size] = smallest;
    siftDown(heap, size, 0, values);
  }
  return heap;
}

function siftDown(heap: Int32Array, size: number, start: number, values: Float64Array | Float32Array): void {
  const moving = heap[start]!;
  let node = start;
  for (;;) {
    let child = 2 * node + 1;
    if (child >= size) break;
    if (child + 1 < size && isSmaller(heap[child + 1]!, heap[child]!, values)) child++;
    if (!isSmaller(heap[child]!, moving, values)) break;
    heap[node] = heap[child]!;
    node = child;
  }
  heap[node] = moving;
}

function isSmaller(a: number, b: number, values: Float64Array | Float32Array): boolean {
  const difference = values[a]! - values[b]!;
  return difference < 0 || (a > b && values[a] === values[b]);
}
