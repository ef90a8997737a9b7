import { connectionEvolver, type Connection } from '@postern/domain';

import { noticesOf } from '../notices/notices-of.ts';
import type { ConnectionModel } from './model.ts';
import { notificationBasisTable, notificationTable, type ModelRow } from './tables.ts';

/** What a notice depends on of the state before its commit. */
type Basis = Pick<Connection, 'authorization' | 'health' | 'credential'>;

/**
 * Which notices each decision led to. They follow from the log by the function that sends them, and not from the stream
 * that carries them: that one forgets after a month, and nobody signs on it.
 */
export const notificationsModel: ConnectionModel = {
  name: 'notifications',
  stream: 'connections',
  tables: [notificationBasisTable, notificationTable],
  fold: ({ entry, state, before: row }) => {
    const before = { ...connectionEvolver.initialState, ...basisIn(row) };
    const notices = noticesOf({ entry, before, after: state, reauthorizeUrl: '' });
    const { authorization, health, credential } = state;
    const basis: Basis = { authorization, health, credential };
    const made = { connection_id: entry.commit.aggregateId, before: JSON.stringify(basis) };
    bases.set(made, basis);
    return {
      row: made,
      added: notices.map(({ id, type, platform_id, connection_id, health: label, cause, evidence }) => ({
        notification_id: id,
        connection_id,
        platform_id,
        type,
        position: entry.position,
        at_ms: Date.parse(entry.commit.at),
        health: label,
        cause,
        evidence,
      })),
    };
  },
};

/** Of rows that were made a moment ago, and need not be read again. */
const bases = new WeakMap<ModelRow, Basis>();

function basisIn(row: ModelRow | undefined): Partial<Basis> {
  const made = row && bases.get(row);
  if (made !== undefined) return made;
  const text = row?.['before'];
  return typeof text === 'string' ? (JSON.parse(text) as Basis) : {};
}
