/** A process that races others: it appends when it is told to, and says what became of it. */
import { isPosternError, newId } from '@postern/contracts';

import { connectBus, type Bus } from '../bus.ts';
import { JetStreamEventLog } from '../jetstream-event-log.ts';
import type { RacerAnswer, RacerOrder } from './race.ts';

/** Outlasts an election: a round without a winner would say nothing. */
const policy = { attemptsMax: 60, retryDelayMsMin: 15, retryDelayMsMax: 1_000 };

let bus: Bus | undefined;
let log: JetStreamEventLog | undefined;

async function obey(order: RacerOrder): Promise<RacerAnswer> {
  if (order.kind === 'connect') {
    const { servers, creds, identity } = order;
    bus = await connectBus({ servers, creds, identity, name: 'racer', connectTimeoutMs: 120_000 });
    log = new JetStreamEventLog({ bus, stream: 'connections', policy });
    await log.head();
    return { kind: 'ready' };
  }
  const { subject, expectedPosition } = order;
  const messageId = newId('commit');
  const request = { subject, expectedPosition, messageId, payload: Buffer.from(messageId), headers: {} };
  try {
    const appended = await log?.append(request);
    return { kind: 'won', position: appended?.position ?? 0, messageId };
  } catch (error) {
    return { kind: 'lost', code: isPosternError(error) ? error.code : String(error) };
  }
}

process.on('message', (order: RacerOrder) => {
  void obey(order).then((answer) => process.send?.(answer));
});
process.on('disconnect', () => void bus?.close());
