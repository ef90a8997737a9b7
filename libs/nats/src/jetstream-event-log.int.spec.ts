import { newId, subjects } from '@postern/contracts';
import { eventLogContract } from '@postern/event-log';
import { startTcpProxy } from '@postern/testing';

import { natsHeaders } from './stored-message.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { PosternBus } from './spec-support/postern-bus.ts';
import { listeningTo } from './spec-support/recording-bus.ts';

eventLogContract('the log on JetStream', async () => {
  const nats = await PosternBus.start();
  const proxy = await startTcpProxy({ targetPort: nats.port });
  const throughProxy = await nats.as('revocation', `nats://127.0.0.1:${proxy.port}`);
  const direct = await nats.as('revocation');
  const options = { stream: 'connections', ackTimeoutMs: 500 } as const;
  return {
    log: new JetStreamEventLog({ ...options, bus: throughProxy }),
    otherLog: new JetStreamEventLog({ ...options, bus: direct }),
    put: async ({ subject, payload, headers }) => {
      const answer = await direct.connection.request(subject, payload, {
        headers: natsHeaders(headers),
        timeout: 5_000,
      });
      return answer.json<{ seq: number }>().seq;
    },
    loseNextAcknowledgement: () => {
      proxy.dropServerToClient(
        (chunk) => chunk.includes('"stream":"CONNECTIONS", "seq"') || chunk.includes('"stream":"CONNECTIONS","seq"'),
      );
    },
    stopServing: () => nats.kill(),
    resumeServing: () => nats.restart(),
    close: async () => {
      await nats.stop();
      await proxy.close();
    },
  };
});

test('a server that is alone is asked by direct gets alone, and a header of its own name in a message moves nothing', async () => {
  const nats = await PosternBus.start();
  const direct = '$JS.API.DIRECT.GET.CONNECTIONS';
  try {
    const bus = await nats.as('revocation');
    const asked: string[] = [];
    const listening = listeningTo(bus, { onAsk: ({ subject }) => asked.push(subject) });
    const log = new JetStreamEventLog({ bus: listening, stream: 'connections' });
    const subject = subjects.connection({ tenantId: newId('tenant'), connectionId: newId('connection') });
    const headers = { 'Nats-Sequence': '77', 'Nats-Subject': 'connection.another', 'Nats-Time-Stamp': 'never' };
    const request = { subject, payload: Buffer.from('what stands'), messageId: newId('commit') };
    const { position } = await log.append({ ...request, expectedPosition: 0, headers });
    const stands = await log.last(subject, { fromLeader: true });
    expect(stands).toMatchObject({ subject, position });
    expect(stands?.timeMs).toBeGreaterThan(0);
    expect(Buffer.from(stands?.payload ?? []).toString()).toBe('what stands');
    expect(await log.last(subject, { fromLeader: true, newerThan: position })).toBeUndefined();
    expect(await log.head(subject.replace(/[^.]+$/, '*'))).toBe(position);
    expect(asked).toEqual([subject, `${direct}.${subject}`, direct, direct]);
  } finally {
    await nats.stop();
  }
});
