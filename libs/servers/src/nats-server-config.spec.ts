import { natsServerConfig } from './nats-server-config.ts';

const places = { port: 4222, monitorPort: 8222, storeDir: '/data/jetstream' };

describe('the nats-server configuration', () => {
  test('listens on loopback only and syncs every write unless told otherwise', () => {
    const text = natsServerConfig(places);
    expect(text).toContain('host: "127.0.0.1"');
    expect(text).toContain('http: "127.0.0.1:8222"');
    expect(text).toContain('sync_interval: always');
    expect(natsServerConfig({ ...places, syncAlways: false })).not.toContain('sync_interval');
  });

  test('a client of a busy machine has time to say who it is', () => {
    expect(natsServerConfig(places)).toMatch(/^authorization \{ timeout: 30 \}$/m);
  });

  test('a client whose user may do much can say so in one line', () => {
    expect(natsServerConfig(places)).toMatch(/^max_control_line: 16384$/m);
  });

  test('a node routes to the others of its cluster, not to itself', () => {
    const text = natsServerConfig({ ...places, cluster: { name: 'c', port: 1, routePorts: [1, 2, 3] } });
    expect(text.match(/nats:\/\/127\.0\.0\.1:\d/g)).toEqual(['nats://127.0.0.1:2', 'nats://127.0.0.1:3']);
  });

  test('a node may be made known by another address, or not at all', () => {
    const cluster = { name: 'c', port: 1, routePorts: [2], advertise: '127.0.0.1:9', noAdvertise: true };
    const text = natsServerConfig({ ...places, cluster });
    expect(text).toContain('  advertise: "127.0.0.1:9"\n  no_advertise: true\n}');
    expect(natsServerConfig({ ...places, cluster: { name: 'c', port: 1, routePorts: [2] } })).not.toContain(
      'advertise',
    );
  });

  test('a value cannot break out of its quotes', () => {
    const refusal = expect.objectContaining({ code: 'servers.start_failed' });
    expect(() => natsServerConfig({ ...places, storeDir: '/a"\nauthorization {}' })).toThrow(refusal);
  });
});
