import type { JsMsg } from '@nats-io/jetstream';

import { natsHeaders, placeOf } from './stored-message.ts';

const named = (reply: string) => placeOf({ reply } as unknown as JsMsg);

describe('where a delivered message stands', () => {
  const place = { position: 4_711, timeMs: 1_764_366_150_123, pending: 12 };

  test.each([
    ['as servers say it', '$JS.ACK.CONNECTIONS.reader.1.4711.9.1764366150123456789.12'],
    ['with domain and account', '$JS.ACK._.ACCHASH.CONNECTIONS.reader.1.4711.9.1764366150123456789.12'],
    ['with a token more at its end', '$JS.ACK.hub.ACCHASH.CONNECTIONS.reader.1.4711.9.1764366150123456789.12.Xyz'],
  ])('is read from the subject of its acknowledgement, %s', (_, reply) => {
    expect(named(reply)).toEqual(place);
  });
});

describe('headers of a message', () => {
  test('are those that the client would set, trimmed', () => {
    const headers = natsHeaders({ 'ce-id': ' one ', 'Nats-Msg-Id': 'two' });
    expect([...headers]).toEqual([
      ['ce-id', ['one']],
      ['Nats-Msg-Id', ['two']],
    ]);
  });

  test.each([
    ['a line break in a value', { 'ce-id': 'one\r\nNats-Rollup: all' }],
    ['a colon in a name', { 'ce:id': 'one' }],
    ['a space in a name', { 'ce id': 'one' }],
  ])('%s is refused', (_, record) => {
    expect(() => natsHeaders(record as Record<string, string>)).toThrow(/header/);
  });
});
