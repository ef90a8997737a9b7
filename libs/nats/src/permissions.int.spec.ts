import { consumers, identityNames, newId, operations, operationSubject, streams, subjects } from '@postern/contracts';
import type { Bus } from './bus.ts';
import { isPermissionError } from './bus-errors.ts';
import { callOperation } from './call-operation.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { endpoint } from './operation-endpoint.ts';
import { publishMessage } from './publish-message.ts';
import { serveOperations, type ServedOperations } from './serve-operations.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { identityCreds } from './user-credentials.ts';
import { connectBus } from './bus.ts';

let nats: PosternBus;
let served: ServedOperations;
const refusals: string[] = [];

beforeAll(async () => {
  nats = await PosternBus.start();
  const vault = await nats.shared('vault');
  served = await serveOperations(vault, {
    name: 'vault',
    version: '0.1.0',
    endpoints: [endpoint(operations.leaseToken, (_request, { caller }) => caller as never)],
    onError: ({ code }) => refusals.push(code),
  });
});
afterAll(async () => {
  await served.stop();
  await nats.stop();
});

/** Is a request refused by the server for want of the right to publish? */
async function mayRequest(bus: Bus, subject: string, payload = ''): Promise<boolean> {
  try {
    await bus.connection.request(subject, payload, { timeout: 1_000 });
    return true;
  } catch (error) {
    return !isPermissionError(error);
  }
}

/** Is a subscription refused by the server? */
async function maySubscribe(bus: Bus, subject: string): Promise<boolean> {
  const subscription = bus.connection.subscribe(subject, { callback: () => undefined });
  const closed = subscription.closed.then(
    () => undefined,
    (error: unknown) => error,
  );
  await bus.connection.flush();
  const error = await Promise.race([closed, bus.connection.flush().then(() => 'open')]);
  if (error === 'open') subscription.unsubscribe();
  return error === 'open';
}

const lease = () => ({
  connection_id: newId('connection'),
  agent_id: newId('agent'),
  purpose: 'spec',
  recipient_key: { kty: 'OKP' as const, crv: 'X25519' as const, x: 'A'.repeat(43) },
});

describe('a platform', () => {
  const tenantId = newId('tenant');
  const [mine, other] = [newId('platform'), newId('platform')];
  let bus: Bus;

  beforeAll(async () => {
    bus = await nats.asPlatform(tenantId, mine);
  });

  test('gets the reply to a request on its own subject, through the import', async () => {
    const reply = await callOperation(bus, operations.leaseToken, { tenantId, platformId: mine }, lease());
    expect(reply).toEqual({ tenantId, platformId: mine });
  });

  test('cannot publish to another platform’s subject, nor as another tenant', async () => {
    for (const caller of [
      { tenantId, platformId: other },
      { tenantId: newId('tenant'), platformId: mine },
    ]) {
      const asked = callOperation(bus, operations.leaseToken, caller, lease());
      await expect(asked).rejects.toMatchObject({ code: 'auth.forbidden' });
    }
  });

  test('cannot read another’s inbox, requests, or another tenant’s notifications', async () => {
    for (const subject of [
      '>',
      '_INBOX.>',
      `_INBOX.${other}.>`,
      operationSubject(operations.leaseToken, { tenantId, platformId: mine }),
      'tokens.lease.*.*',
      'notify.>',
      subjects.notificationsOfTenant(newId('tenant')),
      subjects.allConnections,
    ]) {
      expect([subject, await maySubscribe(bus, subject)]).toEqual([subject, false]);
    }
    expect(await maySubscribe(bus, subjects.notificationsOfTenant(tenantId))).toBe(true);
  });

  test('hears its tenant’s notifications, and no other’s', async () => {
    const heard: string[] = [];
    const something = Promise.withResolvers<void>();
    bus.connection.subscribe(subjects.notificationsOfTenant(tenantId), {
      callback: (_error, message) => {
        heard.push(message.subject);
        something.resolve();
      },
    });
    await bus.connection.flush();
    const audit = await nats.shared('audit');
    const stream = streams.notifications.name;
    const type = 'connection.revoked';
    await publishMessage(audit, { stream, subject: subjects.notify({ tenantId: newId('tenant'), type }), payload: {} });
    await publishMessage(audit, { stream, subject: subjects.notify({ tenantId, type }), payload: {} });
    await something.promise;
    expect(heard).toEqual([subjects.notify({ tenantId, type })]);
  });

  test('cannot touch the streams', async () => {
    for (const subject of [
      '$JS.API.INFO',
      '$JS.API.STREAM.INFO.CONNECTIONS',
      '$JS.API.DIRECT.GET.CONNECTIONS.connection.1.a.b',
      '$JS.API.CONSUMER.CREATE.CONNECTIONS',
      subjects.connection({ tenantId, connectionId: newId('connection') }),
      subjects.notify({ tenantId, type: 'connection.revoked' }),
      '$SRV.PING',
      '$SYS.REQ.SERVER.PING',
    ]) {
      expect([subject, await mayRequest(bus, subject)]).toEqual([subject, false]);
    }
  });

  test('cannot make the vault write into the log by naming a subject of it as reply', async () => {
    const log = new JetStreamEventLog({ bus: await nats.shared('audit'), stream: 'connections' });
    const before = await log.head();
    const subject = operationSubject(operations.leaseToken, { tenantId, platformId: mine });
    const reply = subjects.connection({ tenantId, connectionId: newId('connection') });
    bus.connection.publish(subject, JSON.stringify(lease()), { reply });
    await bus.connection.flush();
    await callOperation(bus, operations.leaseToken, { tenantId, platformId: mine }, lease());
    expect(await log.head()).toBe(before);
  });
});

describe('a service', () => {
  test.each(identityNames.filter((name) => name !== 'provisioner'))(
    '%s cannot update, purge or delete',
    async (identity) => {
      const bus = await nats.shared(identity);
      for (const { name } of Object.values(streams)) {
        for (const api of ['STREAM.DELETE', 'STREAM.PURGE', 'STREAM.UPDATE', 'STREAM.CREATE', 'STREAM.MSG.DELETE']) {
          const subject = `$JS.API.${api}.${name}`;
          expect([subject, await mayRequest(bus, subject, '{}')]).toEqual([subject, false]);
        }
      }
    },
  );

  test.each(identityNames.filter((name) => name !== 'provisioner'))(
    '%s cannot change or delete a durable consumer, nor empty another’s',
    async (identity) => {
      const bus = await nats.shared(identity);
      for (const { stream, name } of Object.values(consumers)) {
        for (const subject of [
          `$JS.API.CONSUMER.CREATE.${stream}.${name}`,
          `$JS.API.CONSUMER.CREATE.${stream}.${name}.connection.>`,
          `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${name}`,
          `$JS.API.CONSUMER.DELETE.${stream}.${name}`,
        ]) {
          expect([subject, await mayRequest(bus, subject, '{}')]).toEqual([subject, false]);
        }
      }
      const owners = {
        ...{ 'refresh-worker': 'refresh', 'refresh-scheduler': 'refresh' },
        ...{ 'audit-notices': 'audit', 'revocation-upstream': 'revocation', 'revocation-signals': 'revocation' },
        ...{ 'notifier-fan-out': 'notifier' },
      };
      for (const { stream, name } of Object.values(consumers)) {
        const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`;
        expect([subject, await mayRequest(bus, subject, '{"no_wait":true}')]).toEqual([
          subject,
          owners[name] === identity,
        ]);
      }
    },
  );

  test('nobody subscribes to what is being written: refused appends would be seen', async () => {
    for (const identity of identityNames) {
      const bus = await nats.shared(identity);
      for (const subject of [subjects.allConnections, subjects.allAdmin, subjects.allAccess, '>']) {
        expect([identity, subject, await maySubscribe(bus, subject)]).toEqual([identity, subject, false]);
      }
    }
  });

  test('audit follows ACCESS, and the gateway and the vault that writes it do not', async () => {
    const head = async (bus: Bus) => await new JetStreamEventLog({ bus, stream: 'access' }).head();
    expect(await head(await nats.shared('audit'))).toBe(0);
    for (const identity of ['gateway', 'vault', 'administrator'] as const) {
      const bus = await nats.shared(identity);
      const follow = new JetStreamEventLog({ bus, stream: 'access' }).subscribe({
        filter: subjects.allAccess,
        onMessage: () => undefined,
        onReset: () => undefined,
      });
      await expect(follow).rejects.toMatchObject({ code: 'auth.forbidden' });
    }
  });

  test('the gateway appends nothing', async () => {
    const log = new JetStreamEventLog({ bus: await nats.shared('gateway'), stream: 'connections' });
    const subject = subjects.connection({ tenantId: newId('tenant'), connectionId: newId('connection') });
    const append = log.append({
      subject,
      payload: new Uint8Array(1),
      headers: {},
      messageId: 'x',
      expectedPosition: 0,
    });
    await expect(append).rejects.toMatchObject({ code: 'auth.forbidden' });
  });

  test('a reply subject that is nobody’s inbox gets no answer: the service does not write into the log', async () => {
    const gateway = await nats.shared('gateway');
    const [tenantId, platformId] = [newId('tenant'), newId('platform')];
    const log = new JetStreamEventLog({ bus: await nats.shared('audit'), stream: 'connections' });
    const before = await log.head();
    const subject = operationSubject(operations.leaseToken, { tenantId, platformId });
    const seen = refusals.length;
    for (const reply of [
      subjects.connection({ tenantId, connectionId: newId('connection') }),
      subjects.access({ service: 'vault', writer: 'x' }),
      '_INBOX.audit.x',
    ]) {
      gateway.connection.publish(subject, JSON.stringify(lease()), { reply });
    }
    await callOperation(gateway, operations.leaseToken, { tenantId, platformId }, lease());
    expect(refusals.slice(seen)).toEqual(['bus.reply_refused', 'bus.reply_refused', 'bus.reply_refused']);
    expect(await log.head()).toBe(before);
  });

  test('a user whose time is over is refused', async () => {
    const creds = await identityCreds(nats.bundle, 'gateway', { ttlMs: -60_000 });
    const connecting = connectBus({
      servers: `nats://127.0.0.1:${nats.port}`,
      creds,
      identity: 'gateway',
      name: 'late',
    });
    await expect(connecting).rejects.toMatchObject({ code: 'auth.forbidden' });
  });
});
