import fc from 'fast-check';

import { exportMessage, importMessage } from './exported-message.ts';

const message = (payload: Uint8Array) => ({
  subject: 'connection.1.ten_x.con_y',
  position: 7,
  timeMs: 1_700_000_000_000,
  payload,
  headers: { 'ce-id': 'cmt_1', 'Postern-Signature': 'abc' },
});

test('an exported message comes back with the bytes that were stored', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (payload) => {
        const stored = message(payload);
        const back = importMessage(JSON.stringify(exportMessage(stored)), 1);
        expect(Buffer.from(back.payload).equals(Buffer.from(payload))).toBe(true);
        expect({ ...back, payload: null }).toEqual({ ...stored, payload: null });
      },
    ),
  );
});

test('a payload that JSON would write differently is kept as bytes', () => {
  expect(exportMessage(message(Buffer.from('{ "a": 1 }')))).toMatchObject({ data_base64: expect.any(String) });
  expect(exportMessage(message(Buffer.from('{"a":1}')))).toMatchObject({ data: { a: 1 } });
});

test('a line that is no exported message is refused with its number', () => {
  expect(() => importMessage('{"specversion":"0.9"}', 12)).toThrow(
    expect.objectContaining({ code: 'request.malformed', message: expect.stringContaining('12') }),
  );
  expect(() => importMessage('not json', 1)).toThrow(expect.objectContaining({ code: 'request.malformed' }));
});
