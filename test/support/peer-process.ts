/** A process on the local transport: node --import tsx peer-process.ts DIRECTORY PEER_ID. Says `ready` to its parent. */
import { systemClock } from '../../src/system-clock.ts';
import { LocalTransport } from '../../src/transport/local-transport.ts';

const [directory = '', peerId = ''] = process.argv.slice(2);
const transport = await LocalTransport.open({ directory, peerId, clock: systemClock });
/** Answers a number with the next one. */
transport.subscribe(`echo.${peerId}`, (message) => {
  const view = new DataView(message.data.buffer, message.data.byteOffset, message.data.byteLength);
  message.respond(new Uint8Array(Float64Array.of(view.getFloat64(0, true) + 1).buffer));
});
/** Takes a request, says so, and never answers. */
transport.subscribe(`never.${peerId}`, (message) => transport.publish('reached', message.data));
transport.subscribe(`sink.${peerId}`, () => {});
process.on('disconnect', () => process.exit());
process.send?.('ready');
