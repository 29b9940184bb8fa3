/** The Transport contract on a real broker. */
import { transportContract } from '../contract/transport-contract.ts';
import { startNatsServer } from '../support/nats-server.ts';
import { openNats } from '../support/nats-transport.ts';

transportContract('NatsTransport', async (t) => {
  const server = await startNatsServer(t);
  const a = await openNats(t, server.url, 'a');
  const b = await openNats(t, server.url, 'b');
  const told = (event: 'onSelfDisconnected' | 'onSelfReconnected') =>
    Promise.all([a, b].map((transport) => new Promise<void>((resolve) => transport[event](resolve))));
  const cutOff = {
    async disconnect() {
      const disconnected = told('onSelfDisconnected');
      await server.kill();
      await disconnected;
    },
    async reconnect() {
      const reconnected = told('onSelfReconnected');
      await server.restart();
      await reconnected;
    },
  };
  return { a, b, cutOff };
});
