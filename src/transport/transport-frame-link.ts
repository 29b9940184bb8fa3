/**
 * Frames of an engine group over a Transport, where nothing else connects its machines (NATS). Slower than TCP by a factor of three or
 * four. A Transport may lose messages, so frames are numbered: a gap closes the link, and with it the group.
 *
 *   number (4 bytes, little-endian) · kind (1 byte) · body
 *
 * Each end has a subject of its own for the other's frames. Whoever calls announces itself on the group's subject with a request.
 */
import type { Clock } from '../core/clock.ts';
import { BEAT, BEAT_MS, FrameInbox, SILENCE_MS } from './frame-inbox.ts';
import type { FrameLink, FrameServer } from './frame-link.ts';
import type { Transport } from './transport.ts';

const HEAD_BYTES = 5;
const CLOSE = 254;
const CALL_TIMEOUT_MS = 2000;

/** Takes calls on `subject`, e.g. `troupe.group.NAME`. */
export function listenOnTransport(transport: Transport, subject: string, clock: Clock, onLink: (link: FrameLink) => void): FrameServer {
  const subscription = transport.subscribe(subject, (message) => {
    const caller = Buffer.from(message.data).toString('utf8');
    const { link, start } = transportLink(transport, { own: `${subject}.${caller}.up`, peer: `${subject}.${caller}.down` }, caller, clock);
    start();
    onLink(link);
    message.respond(new Uint8Array());
  });
  return { port: 0, close: () => subscription.unsubscribe() };
}

/** @param callerId a subject token that nobody else uses. @throws TransportError while nobody listens. */
export async function callOnTransport(transport: Transport, subject: string, callerId: string, clock: Clock): Promise<FrameLink> {
  const { link, start } = transportLink(
    transport,
    { own: `${subject}.${callerId}.down`, peer: `${subject}.${callerId}.up` },
    subject,
    clock,
  );
  try {
    await transport.request(subject, Buffer.from(callerId), CALL_TIMEOUT_MS);
    start();
    return link;
  } catch (error) {
    link.close();
    throw error;
  }
}

function transportLink(
  transport: Transport,
  subjects: { readonly own: string; readonly peer: string },
  peer: string,
  clock: Clock,
): { readonly link: FrameLink; readonly start: () => void } {
  const inbox = new FrameInbox();
  const closedHandlers: ((reason: string) => void)[] = [];
  let closedBecause: string | null = null;
  let numSent = 0;
  let numReceived = 0;
  let heardMs = clock.monotonic();
  let timer: unknown;

  const end = (reason: string): void => {
    if (closedBecause !== null) return;
    closedBecause = reason;
    clock.clearTimeout(timer);
    subscription.unsubscribe();
    for (const told of closedHandlers) told(reason);
  };
  const send = (kind: number, ...parts: readonly Uint8Array[]): void => {
    if (closedBecause !== null) return;
    const head = Buffer.allocUnsafe(HEAD_BYTES);
    head.writeUInt32LE(numSent++ >>> 0, 0);
    head[4] = kind;
    transport.publish(subjects.peer, Buffer.concat([head, ...parts]));
  };
  const subscription = transport.subscribe(subjects.own, ({ data }) => {
    if (closedBecause !== null || data.length < HEAD_BYTES) return;
    heardMs = clock.monotonic();
    const number = new DataView(data.buffer, data.byteOffset).getUint32(0, true);
    if (number !== numReceived++ >>> 0) return end(`frame ${numReceived - 1} is lost`);
    const kind = data[4]!;
    const body = data.subarray(HEAD_BYTES);
    if (kind === CLOSE) end(Buffer.from(body).toString('utf8'));
    else inbox.receive(kind, body);
  });
  const beat = (): void => {
    if (clock.monotonic() - heardMs > SILENCE_MS) {
      end(`silent for ${SILENCE_MS} ms`);
      return;
    }
    send(BEAT);
    timer = clock.setTimeout(beat, BEAT_MS);
  };
  const link: FrameLink = {
    peer,
    send,
    onFrame: (handler) => inbox.setHandler(handler),
    onClosed(told) {
      if (closedBecause !== null) told(closedBecause);
      else closedHandlers.push(told);
    },
    close(reason = 'closed by the other end') {
      send(CLOSE, Buffer.from(reason));
      end(reason);
    },
  };
  // Not before the other end listens: a beat that nobody hears is a gap.
  return { link, start: beat };
}
