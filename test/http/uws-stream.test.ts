import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventStreamReply } from '../../src/http/http-message.ts';
import { StreamWriter } from '../../src/http/uws-stream.ts';

/** A response whose socket the test fills and drains. */
class FakeResponse {
  readonly writes: string[] = [];
  isFull = false;
  isClosed = false;
  hasEnded = false;
  numResumes = 0;
  drain: () => void = () => {};

  onWritable(handler: () => boolean): this {
    this.drain = handler;
    return this;
  }
  cork(run: () => void): this {
    run();
    return this;
  }
  write(piece: string): boolean {
    this.writes.push(piece);
    return !this.isFull;
  }
  resume(): void {
    this.numResumes++;
  }
  end(): void {
    this.hasEnded = true;
  }
  close(): void {
    this.isClosed = true;
  }
  writeStatus(): void {}
  writeHeader(): void {}
}

function stream(pieces: AsyncIterable<string>) {
  const response = new FakeResponse();
  const abort = new AbortController();
  const writer = new StreamWriter(response as never, abort.signal, eventStreamReply(pieces), false);
  return { response, abort, writer, sent: writer.send(pieces) };
}

/** Counts what was asked for. */
class CountedSource implements AsyncIterable<string> {
  numAsked = 0;
  readonly #numPieces: number;

  constructor(numPieces: number) {
    this.#numPieces = numPieces;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    while (this.numAsked < this.#numPieces) yield `piece ${this.numAsked++}`;
  }
}

const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a streamed reply', () => {
  it('asks for the next piece only when the socket took the one before', async () => {
    const source = new CountedSource(3);
    const { response, sent } = stream(source);
    response.isFull = true;
    await turns();
    assert.deepEqual([source.numAsked, response.writes], [1, ['piece 0']]);
    response.drain();
    await turns();
    assert.deepEqual([source.numAsked, response.hasEnded], [2, false]);
    response.isFull = false;
    response.drain();
    await sent;
    assert.deepEqual([response.writes, response.hasEnded], [['piece 0', 'piece 1', 'piece 2'], true]);
  });

  it('arms the socket’s time-out anew while its client takes nothing, and gives it up after ten minutes', async () => {
    const { response, writer } = stream(new CountedSource(3));
    response.isFull = true;
    await turns();
    for (let i = 0; i < 150; i++) writer.care();
    assert.deepEqual([response.numResumes, response.isClosed], [150, false]);
    assert.ok(response.writes.slice(1).every((piece) => piece === ': keep-alive\n\n'));
    writer.care();
    assert.equal(response.isClosed, true);
  });

  it('leaves a client that takes nothing to the time-out when the server closes', async () => {
    const { response, writer } = stream(new CountedSource(3));
    response.isFull = true;
    await turns();
    writer.care(true);
    assert.deepEqual([response.numResumes, response.writes.length], [0, 1]);
  });

  it('goes on when a keep-alive finds the socket free again', async () => {
    const source = new CountedSource(2);
    const { response, writer, sent } = stream(source);
    response.isFull = true;
    await turns();
    response.isFull = false;
    writer.care();
    await sent;
    assert.deepEqual(response.writes, ['piece 0', ': keep-alive\n\n', 'piece 1']);
  });

  it('sends a comment now and then while its source is silent', async () => {
    const { response, writer } = stream(
      (async function* () {
        yield 'first';
        await new Promise(() => {});
      })(),
    );
    await turns();
    for (let i = 0; i < 7; i++) writer.care();
    assert.deepEqual(response.writes, ['first', ': keep-alive\n\n', ': keep-alive\n\n']);
  });

  it('is left by a client that goes away while the socket is full: nothing is written after, the source is told', async () => {
    let isTold = false;
    const { response, abort, sent } = stream(
      (async function* () {
        try {
          for (;;) yield 'x';
        } finally {
          isTold = true;
        }
      })(),
    );
    response.isFull = true;
    await turns();
    abort.abort();
    await sent;
    assert.deepEqual([response.writes.length, response.hasEnded], [1, false]);
    await turns();
    assert.equal(isTold, true);
  });

  it('whose source breaks ends the connection', async () => {
    const { response, sent } = stream(
      // biome-ignore lint/correctness/useYield: a source that breaks before its first piece
      (async function* (): AsyncGenerator<string> {
        throw new Error('broken');
      })(),
    );
    await sent;
    assert.deepEqual([response.isClosed, response.hasEnded], [true, false]);
  });
});
