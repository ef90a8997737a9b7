import { eventLogContract } from '@postern/event-log';
import { startTcpProxy } from '@postern/testing';

import { natsHeaders } from './stored-message.ts';
import { JetStreamEventLog } from './jetstream-event-log.ts';
import { PosternBus } from './spec-support/postern-bus.ts';

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
