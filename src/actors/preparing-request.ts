import type { OperatedRequest } from './operations-desk.ts';
import type { NamedRequest } from './request-names.ts';

/** Its prompt is being encoded: operators know it from its arrival on. */
export class PreparingRequest implements OperatedRequest {
  readonly name: NamedRequest;
  readonly isInFlight = false;
  isCancelled = false;

  constructor(name: NamedRequest) {
    this.name = name;
  }

  /** It gets no further than to its place among the live ones. */
  cancel(): void {
    this.isCancelled = true;
  }
}
