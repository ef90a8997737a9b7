import { messageBytes } from '@postern/event-log';
import { createInbox } from '@nats-io/nats-core';
import type { MsgHdrsImpl } from '@nats-io/nats-core/internal';

import { natsHeaders } from './stored-message.ts';

test('a message is measured as the client sends it, at the highest position there can be', () => {
  const headers = { 'ce-id': createInbox(), note: 'schlüssel' };
  const payload = Buffer.alloc(1_000);
  const sent = natsHeaders({
    ...headers,
    'Nats-Msg-Id': 'cmt_1',
    'Nats-Expected-Last-Subject-Sequence': String(Number.MAX_SAFE_INTEGER),
  }) as MsgHdrsImpl;
  expect(messageBytes({ payload, headers, messageId: 'cmt_1' })).toBe(sent.encode().length + payload.length);
});
