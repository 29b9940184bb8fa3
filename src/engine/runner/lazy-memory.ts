/**
 * A large region of zeroed memory that costs nothing until it is written, and whose pages can be given back: reserved address space
 * on POSIX. Windows has no such mapping without explicit commits, so there the whole region counts against the page file at once.
 */
import koffi from 'koffi';
import { RunnerError } from './ort-api.ts';

export interface LazyMemory {
  /** Address of the first byte, page-aligned. Addresses of user memory fit a double exactly. */
  readonly address: number;
  /** memmove between addresses, which may lie in different regions. */
  copy(to: number, from: number, numBytes: number): void;
  /** Gives whole pages inside the range back to the operating system; they read as zeros or old values afterwards. */
  discard(address: number, numBytes: number): void;
  free(): void;
}

/** The largest page size of the platforms we run on (Apple silicon), and a multiple of the others. */
const PAGE_BYTES = 16_384;

/** @throws RunnerError when the address space cannot be had. */
export function reserveLazyMemory(numBytes: number): LazyMemory {
  return process.platform === 'win32' ? reserveOnWindows(numBytes) : reserveOnPosix(numBytes);
}

function wholePages(address: number, numBytes: number): { first: number; pageBytes: number } {
  const first = Math.ceil(address / PAGE_BYTES) * PAGE_BYTES;
  return { first, pageBytes: Math.floor((address + numBytes) / PAGE_BYTES) * PAGE_BYTES - first };
}

const PROT_READ_WRITE = 3;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = process.platform === 'darwin' ? 0x1000 : 0x20;
const MAP_NORESERVE = process.platform === 'darwin' ? 0x40 : 0x4000;
/** Linux frees pages at once; macOS has no such advice for private memory and takes them when it needs them. */
const MADV_DISCARD = process.platform === 'darwin' ? 5 /* MADV_FREE */ : 4; /* MADV_DONTNEED */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

function reserveOnPosix(numBytes: number): LazyMemory {
  const libc = koffi.load(null);
  const mmap = libc.func('mmap', 'uintptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']);
  const munmap = libc.func('munmap', 'int', ['uintptr_t', 'size_t']);
  const madvise = libc.func('madvise', 'int', ['uintptr_t', 'size_t', 'int']);
  const memmove = libc.func('memmove', 'uintptr_t', ['uintptr_t', 'uintptr_t', 'size_t']);
  const address = BigInt(mmap(0, numBytes, PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (BigInt.asUintN(64, address) === MAP_FAILED) throw outOfMemory(numBytes, 'mmap');
  return {
    address: Number(address),
    copy: (to, from, count) => void memmove(to, from, count),
    discard(from, count) {
      const { first, pageBytes } = wholePages(from, count);
      if (pageBytes > 0) madvise(first, pageBytes, MADV_DISCARD);
    },
    free: () => void munmap(address, numBytes),
  };
}

const MEM_COMMIT_RESERVE = 0x3000;
const MEM_RESET = 0x80000;
const MEM_RELEASE = 0x8000;
const PAGE_READWRITE = 4;

function reserveOnWindows(numBytes: number): LazyMemory {
  const kernel32 = koffi.load('kernel32.dll');
  const virtualAlloc = kernel32.func('VirtualAlloc', 'uintptr_t', ['uintptr_t', 'size_t', 'uint32_t', 'uint32_t']);
  const virtualFree = kernel32.func('VirtualFree', 'int', ['uintptr_t', 'size_t', 'uint32_t']);
  const memmove = koffi.load('msvcrt.dll').func('memmove', 'uintptr_t', ['uintptr_t', 'uintptr_t', 'size_t']);
  const address = BigInt(virtualAlloc(0, numBytes, MEM_COMMIT_RESERVE, PAGE_READWRITE));
  if (address === 0n) throw outOfMemory(numBytes, 'VirtualAlloc');
  return {
    address: Number(address),
    copy: (to, from, count) => void memmove(to, from, count),
    discard(from, count) {
      const { first, pageBytes } = wholePages(from, count);
      if (pageBytes > 0) virtualAlloc(first, pageBytes, MEM_RESET, PAGE_READWRITE);
    },
    free: () => void virtualFree(address, 0, MEM_RELEASE),
  };
}

function outOfMemory(numBytes: number, call: string): RunnerError {
  const gib = (numBytes / 2 ** 30).toFixed(1);
  return new RunnerError(1, `cannot reserve ${gib} GiB of address space for the KV cache; lower --max-num-seqs or --max-model-len`, call);
}
