import { natsHeaders } from './stored-message.ts';

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
