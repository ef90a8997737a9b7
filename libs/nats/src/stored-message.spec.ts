import { leaderMessage, natsHeaders } from './stored-message.ts';

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

describe('a message that was read', () => {
  const told = {
    message: {
      ...{ subject: 'connection.1.ten_a.con_a', seq: 7, time: '2026-11-29T01:37:07.015Z' },
      hdrs: Buffer.from('NATS/1.0\r\nce-id: one\r\n\r\n').toString('base64'),
    },
  };
  const read = () => leaderMessage({ json: <T>() => told as T });

  test('tells its headers when it is asked', () => {
    expect(read()).toMatchObject({ position: 7, headers: { 'ce-id': 'one' }, previousPosition: undefined });
  });

  test('brings no getters of its own: the engine would make a shape for each message', () => {
    const own = Object.values(Object.getOwnPropertyDescriptors(read()));
    expect(own.length).toBeGreaterThan(0);
    expect(own.filter((property) => property.get !== undefined)).toEqual([]);
  });
});
