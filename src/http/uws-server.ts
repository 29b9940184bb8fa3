/**
 * HTTP on a socket: uWebSockets.js around an Api. The only file that imports it, and these are its rules: the request object lives
 * only inside the callback and body chunks only until theirs returns, so both are copied; `onAborted` is attached at once and the
 * response is never touched after it; writes outside the first callback are corked.
 */

import type { AppOptions, HttpResponse, TemplatedApp, HttpRequest as UwsRequest, us_listen_socket } from 'uWebSockets.js';
import { createServer } from 'node:net';
import { StartupError } from '../core/errors.ts';
import { describeListenError } from '../core/listen-error.ts';
import type { Api } from './api.ts';
import { errorReply } from './error-reply.ts';
import type { HttpReply, HttpRequest } from './http-message.ts';
import { checkTlsFiles, type TlsFiles } from './tls-files.ts';
import { readBody } from './uws-body.ts';
import { StreamWriter } from './uws-stream.ts';
import { sendWhole } from './uws-whole.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Refuse a port that someone else listens on; without it, several processes may share one (SO_REUSEPORT). */
  readonly exclusive: boolean;
  /** A Unix socket instead: its path. A file of that name is replaced. */
  readonly uds?: string;
  /** HTTPS instead of HTTP. */
  readonly tls?: TlsFiles;
}

export interface HttpServer {
  /** The real one, also when 0 was asked for; 0 for a Unix socket. */
  readonly port: number;
  /**
   * Listens anew with the certificate that is in the files now: new connections get it, those that are open go on with the old one.
   * @throws StartupError when the files cannot be used or the port cannot be had; the old certificate is served on.
   */
  renewCertificate(): Promise<void>;
  /** From now on every reply closes its connection, so that clients find another server. New requests are still answered. */
  drain(): void;
  /** For another process on the same port: new connections are its, what comes over the present ones is answered, and each ends with that. */
  handOver(): void;
  /** Stops listening and resolves when every reply under way has ended. A client that takes nothing for 10 s is cut. */
  close(): Promise<void>;
  /** Stops listening and cuts every connection. */
  closeNow(): void;
}

/**
 * How often waiting streams are looked after. Below the 10 s after which uWebSockets.js cuts a connection whose client takes
 * nothing: a stream that waits for its client is our business (uws-stream.ts).
 */
const CARE_INTERVAL_MS = 4000;

/** @throws StartupError when the port cannot be had, saying why. */
export async function serveHttp(api: Api, options: ListenOptions): Promise<HttpServer> {
  const server = new UwsServer(api);
  // A renewed certificate needs a second listener on the port beside the first, which an exclusive one does not let happen.
  const isShared = !options.exclusive || options.tls !== undefined;
  const port = options.exclusive && isShared && options.uds === undefined ? await requireFreePort(options) : options.port;
  const listen = async (port: number): Promise<Listener> => {
    const listener = await openListener({ ...options, port }, isShared);
    server.serve(listener.app);
    return listener;
  };
  return server.listening(await listen(port), listen);
}

interface Listener {
  readonly app: App;
  readonly port: number;
  stop(): void;
}

async function openListener(options: ListenOptions, isShared: boolean): Promise<Listener> {
  const uws = await loadUws();
  if (options.tls) checkTlsFiles(options.tls);
  const app = options.tls ? uws.SSLApp({ cert_file_name: options.tls.certFile, key_file_name: options.tls.keyFile }) : uws.App();
  const mode = isShared ? 0 : uws.LIBUS_LISTEN_EXCLUSIVE_PORT;
  const socket = await new Promise<us_listen_socket | false>((resolve) =>
    options.uds === undefined ? app.listen(options.host, options.port, mode, resolve) : app.listen_unix(resolve, options.uds),
  );
  if (!socket)
    throw new StartupError(options.uds === undefined ? await whyNotListening(options) : `Cannot listen on the socket ${options.uds}.`);
  return {
    app,
    port: options.uds === undefined ? uws.us_socket_local_port(socket) : 0,
    stop: () => uws.us_listen_socket_close(socket),
  };
}

/** What the package has and its types lack: the constant, and `listen` with a host and a mode. */
type App = Omit<TemplatedApp, 'listen'> & {
  listen(host: string, port: number, mode: number, done: (socket: us_listen_socket | false) => void): TemplatedApp;
};
type Uws = Omit<typeof import('uWebSockets.js'), 'App' | 'SSLApp'> & {
  App(): App;
  SSLApp(options: AppOptions): App;
  readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
};

/** The package comes in two versions, one per range of Node's binary interface. */
async function loadUws(): Promise<Uws> {
  const major = Number(process.versions.node.split('.')[0]);
  try {
    return (await (major >= 24 ? import('uWebSockets.js-node24') : import('uWebSockets.js'))) as unknown as Uws;
  } catch (cause) {
    const library = /`?(GLIBC_[\d.]+)/.exec(String(cause))?.[1];
    const node = `Node ${process.versions.node} on ${process.platform} ${process.arch}`;
    const message = library
      ? `uWebSockets.js for ${node} needs ${library} or later, which this system does not have: use Node 20 or 22, or a newer system (Debian 13).`
      : `uWebSockets.js does not load in ${node}: if the packages were installed with another version of Node, run "npm ci" again.`;
    throw new StartupError(message, { cause });
  }
}

/** uWebSockets.js only says no; the operating system says why. */
async function whyNotListening({ host, port }: ListenOptions): Promise<string> {
  const outcome = await tryPort(host, port);
  return describeListenError(typeof outcome === 'string' ? outcome : 'EADDRINUSE', host, port);
}

/** @returns the port itself, a free one for 0. */
async function requireFreePort({ host, port }: ListenOptions): Promise<number> {
  const outcome = await tryPort(host, port);
  if (typeof outcome === 'string') throw new StartupError(describeListenError(outcome, host, port));
  return outcome;
}

/** @returns the port that could be had, or the system's code for why not. */
function tryPort(host: string, port: number): Promise<number | string> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    probe.listen({ host, port, exclusive: true }, () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}

class UwsServer {
  /** One per certificate: an app keeps the one that it was made with. */
  readonly #apps: App[] = [];
  readonly #api: Api;
  readonly #streams = new Set<StreamWriter>();
  readonly #care: NodeJS.Timeout;
  #numOpen = 0;
  #isDraining = false;
  #isClosing = false;
  #onIdle: (() => void) | null = null;

  constructor(api: Api) {
    this.#api = api;
    this.#care = setInterval(() => {
      for (const stream of this.#streams) stream.care(this.#isClosing);
    }, CARE_INTERVAL_MS);
    this.#care.unref();
  }

  /** Answers what comes to this app. */
  serve(app: App): void {
    app.any('/*', (response, request) => this.#receive(response, request));
    this.#apps.push(app);
  }

  listening(first: Listener, listen: (port: number) => Promise<Listener>): HttpServer {
    let listener: Listener | null = first;
    const stop = () => {
      listener?.stop();
      listener = null;
    };
    const closeNow = () => {
      stop();
      clearInterval(this.#care);
      for (const app of this.#apps) app.close();
    };
    return {
      port: first.port,
      renewCertificate: async () => {
        const next = await listen(first.port);
        const isStopped = listener === null;
        stop();
        if (isStopped) next.stop();
        else listener = next;
      },
      drain: () => {
        this.#isDraining = true;
      },
      handOver: () => {
        this.#isDraining = true;
        stop();
      },
      close: async () => {
        this.#isDraining = true;
        this.#isClosing = true;
        stop();
        if (this.#numOpen > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
        closeNow();
      },
      closeNow,
    };
  }

  #receive(response: HttpResponse, uwsRequest: UwsRequest): void {
    const abort = new AbortController();
    response.onAborted(() => abort.abort());
    const head = {
      method: uwsRequest.getCaseSensitiveMethod(),
      path: uwsRequest.getUrl(),
      query: uwsRequest.getQuery(),
      headers: copyHeaders(uwsRequest),
      signal: abort.signal,
    };
    this.#numOpen++;
    readBody(response, head, this.#api.maxBodyBytes(head), (body) => void this.#answer(response, { ...head, body }));
    abort.signal.addEventListener('abort', () => this.#closed(), { once: true });
  }

  async #answer(response: HttpResponse, request: HttpRequest): Promise<void> {
    // The API never rejects; if it did, the client would still get an answer.
    const reply = await this.#api.handle(request).catch(errorReply);
    if (request.signal.aborted) return leave(reply);
    const closes = this.#isDraining || reply.headers.connection === 'close';
    const { body } = reply;
    if (typeof body === 'string') await sendWhole(response, request, { ...reply, body }, closes);
    else {
      const writer = new StreamWriter(response, request.signal, reply, closes);
      this.#streams.add(writer);
      await writer.send(body);
      this.#streams.delete(writer);
    }
    if (!request.signal.aborted) this.#closed();
  }

  #closed(): void {
    this.#numOpen--;
    if (this.#numOpen === 0) this.#onIdle?.();
  }
}

function copyHeaders(request: UwsRequest): Record<string, string> {
  const headers: Record<string, string> = Object.create(null);
  request.forEach((name, value) => {
    headers[name] = value;
  });
  return headers;
}

/** The client left while the reply was made: a stream's source must hear of it. */
function leave(reply: HttpReply): void {
  if (typeof reply.body !== 'string')
    reply.body[Symbol.asyncIterator]()
      .return?.()
      ?.catch(() => {});
}
