import { MsgHdrsImpl } from '@nats-io/nats-core/internal';
import * as fc from 'fast-check';

import { previousPositionIn, readHeaderBlock, type HeaderRecord } from './header-block.ts';
import { headerRecord } from './stored-message.ts';

/** As the client reads it; undefined where it throws. */
function byClient(block: string): HeaderRecord | undefined {
  try {
    return headerRecord(MsgHdrsImpl.decode(Buffer.from(block)));
  } catch {
    return undefined;
  }
}

const name = fc.stringMatching(/^[!-9;-~]{1,20}$/).filter((text) => text !== '__proto__');
const value = fc.oneof(
  fc.stringMatching(/^[ -~]{0,40}$/),
  fc.string({ unit: 'binary' }).map((text) => text.replace(/[\r\n]/g, '')),
);

test('a block that the client wrote is read as the client reads it', () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        name,
        value.filter((text) => text.isWellFormed()),
      ),
      (record) => {
        const written = new MsgHdrsImpl();
        for (const [key, text] of Object.entries(record)) written.set(key, text);
        const block = Buffer.from(written.encode()).toString() || 'NATS/1.0\r\n\r\n';
        expect(readHeaderBlock(block).headers).toEqual(byClient(block));
      },
    ),
  );
});

test('whatever a block holds, nothing is read that the client would refuse or read otherwise', () => {
  const part = fc.oneof(
    fc.constantFrom(
      '\r\n',
      '\r',
      '\n',
      ':',
      ' ',
      'a',
      'ce-id',
      'ce-id: x',
      'ce-id: y\r\n',
      'Nats-Subject: z',
      '\u00e9',
      '\t',
    ),
    name,
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
      const block = `NATS/1.0${parts.join('')}\r\n\r\n`;
      const { headers } = readHeaderBlock(block);
      if (Object.keys(headers).length > 0) expect(headers).toEqual(byClient(block));
    }),
    { numRuns: 2_000 },
  );
});

test.each([
  ['a space in a name', 'ce id: x'],
  ['a name that does not print', 'ce\u00e9: x'],
  ['half a line break', 'ce-id: x\ry'],
  ['the other half', 'ce-id: x\ny'],
  ['one in the status line', '\n'],
])('%s makes the whole block unreadable, as for the client', (_what, line) => {
  const block = `NATS/1.0\r\nPostern-Key: k\r\n${line}\r\n\r\n`;
  expect(readHeaderBlock(block).headers).toEqual({});
});

test('of a repeated header the last counts, and what the server added stands apart', () => {
  const block = 'NATS/1.0\r\nNats-Sequence: 1\r\nce-id: a\r\nce-id: b\r\nNats-Sequence: 7\r\n\r\n';
  expect(readHeaderBlock(block)).toEqual({ headers: { 'ce-id': 'b' }, server: { 'Nats-Sequence': '7' } });
});

describe('where the message before it stands', () => {
  const name = 'Nats-Expected-Last-Subject-Sequence';
  const told = (...lines: string[]) => previousPositionIn(['NATS/1.0', 'ce-id: x', ...lines, '', ''].join('\r\n'));

  test('is what the server was told to expect', () => {
    expect(told(`${name}: 41`)).toBe(41);
    expect(told(`${name}:0`, 'Nats-Msg-Id: y')).toBe(0);
  });

  test.each([
    ['nothing was expected', []],
    ['it is told twice', [`${name}: 41`, `${name}: 7`]],
    ['another subject was to be looked at', [`${name}: 41`, `${name}-Subject: connection.1.a.b`]],
    ['another spelling stands beside it', [`${name}: 41`, `${name.toLowerCase()}: 7`]],
    ['it is told in another spelling', [`${name.toUpperCase()}: 41`]],
    ['it stands in a value', [`ce-source: ${name}: 41`]],
    ['it stands in a value as well', [`ce-source: ${name}: 41`, `${name}: 7`]],
    ['it is no number', [`${name}: 4x`]],
    ['something comes after the number', [`${name}: 41 `]],
  ])('cannot be told where %s', (_where, lines) => {
    expect(told(...lines)).toBeUndefined();
  });
});
