import { randomUUID } from 'node:crypto';

/** 32 hexadecimal digits: the variable part of ids like `msg_…` and `resp_…`. */
export function newHexId(): string {
  return randomUUID().replaceAll('-', '');
}
