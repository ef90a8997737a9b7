import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

/** A server of another version, as far as a client sees one before it asks for anything: INFO, and PONG for PING. */
export async function startServerOfVersion(version: string): Promise<{ url: string; close(): void }> {
  const info = {
    server_id: 'OLD',
    server_name: 'old',
    version,
    jetstream: true,
    headers: true,
    max_payload: 1_048_576,
  };
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on('data', (data) => {
      for (let pings = data.toString('latin1').split('PING\r\n').length; pings > 1; pings -= 1)
        socket.write('PONG\r\n');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}
