import { newId } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import type { LogEntry, StoredMessage } from '@postern/event-log';

import type { ConnectionModel } from './model.ts';
import { notificationBasisTable } from './tables.ts';
import { foldConnections, KnownRows, type FoldOptions } from './write-batch.ts';

const [tenantId, connectionId] = [newId('tenant'), newId('connection')];
const subject = `connection.1.${tenantId}.${connectionId}`;

/** Remembers the text of the row before, and tells it. */
const model: ConnectionModel = {
  name: 'notifications',
  stream: 'connections',
  tables: [notificationBasisTable],
  fold: ({ entry: { commit, hash }, before, remembered }) => ({
    row: {
      connection_id: connectionId,
      revision: commit.revision,
      hash,
      before: commit.revision === 3 ? null : `${commit.revision}, ${String(before?.['before'])}, ${String(remembered)}`,
    },
    remembered: commit.revision,
  }),
};

const messageOf = (revision: number) => ({ subject, position: revision }) as StoredMessage;

function read({ position }: StoredMessage) {
  const commit = { tenantId, revision: position, previousHash: position === 1 ? null : `h${position - 1}`, events: [] };
  const entry = { commit, position, hash: `h${position}` } as unknown as LogEntry;
  return { entry, state: { authorization: 'authorized' } as Connection };
}

async function folded(known: KnownRows, revisions: readonly number[], ask: FoldOptions['ask']) {
  const options: FoldOptions = { models: [{ model, generation: 1 }], known, read, ask };
  const { puts, aside } = await foldConnections(revisions.map(messageOf), options);
  expect(aside).toEqual([[]]);
  return puts.get(tenantId)?.map(({ values }) => values.slice(2));
}

const nothingStands: FoldOptions['ask'] = async () => await Promise.resolve(new Map([[tenantId, [[]]]]));
const isNotAsked: FoldOptions['ask'] = async () => await Promise.reject(new Error('what is known is not asked'));

describe('rows that a walk remembers', () => {
  it('are what the newest commit makes of them, in every column, and are not asked again', async () => {
    const known = new KnownRows();
    expect(await folded(known, [1], nothingStands)).toEqual([
      [`{"${connectionId}"}`, '{1}', '{"h1"}', '{"1, undefined, undefined"}'],
    ]);
    expect(await folded(known, [2], isNotAsked)).toEqual([
      [`{"${connectionId}"}`, '{2}', '{"h2"}', '{"2, 1, undefined, undefined, 1"}'],
    ]);
    expect(await folded(known, [3], isNotAsked)).toEqual([[`{"${connectionId}"}`, '{3}', '{"h3"}', '{null}']]);
    expect(await folded(known, [4], isNotAsked)).toEqual([[`{"${connectionId}"}`, '{4}', '{"h4"}', '{"4, null, 3"}']]);
  });

  it('are written once a batch, however many commits are in it', async () => {
    expect(await folded(new KnownRows(), [1, 2], nothingStands)).toEqual([
      [`{"${connectionId}"}`, '{2}', '{"h2"}', '{"2, 1, undefined, undefined, 1"}'],
    ]);
  });
});
