import { connectionEvolver, type Connection } from '@postern/domain';

import { noticesOf, type NoticeBasis } from '../notices/notices-of.ts';
import type { ConnectionModel } from './model.ts';
import { notificationBasisTable, notificationTable, type ModelRow } from './tables.ts';

/**
 * Which notices each decision led to. They follow from the log by the function that sends them, and not from the stream
 * that carries them: that one forgets after a month, and nobody signs on it.
 */
export const notificationsModel: ConnectionModel = {
  name: 'notifications',
  stream: 'connections',
  tables: [notificationBasisTable, notificationTable],
  fold: ({ entry, state, before: row, remembered }) => {
    const { commit, position, hash } = entry;
    const before = (remembered as NoticeBasis | undefined) ?? basisIn(row);
    const notices = noticesOf({ entry, before, after: state, reauthorizeUrl: '' });
    const { authorization, health, credential } = state;
    return {
      row: {
        connection_id: commit.aggregateId,
        revision: commit.revision,
        hash,
        before: JSON.stringify({ authorization, health, credential }),
      },
      remembered: basisOf(state),
      added: notices.map(({ id, type, platform_id, connection_id, health: label, cause, evidence }) => ({
        notification_id: id,
        connection_id,
        platform_id,
        type,
        position,
        at_ms: Date.parse(commit.at),
        health: label,
        cause,
        evidence,
      })),
    };
  },
};

/** Of the state just what is asked, and nothing else that it would keep in memory. */
function basisOf({ authorization, health: { status }, credential }: Connection): NoticeBasis {
  return {
    authorization,
    health: { status },
    credential: credential && {
      endedByRefresh: credential.endedByRefresh,
      accessTokenExpiresAtMs: credential.accessTokenExpiresAtMs,
    },
  };
}

function basisIn(row: ModelRow | undefined): NoticeBasis {
  const text = row?.['before'];
  return typeof text === 'string' ? (JSON.parse(text) as NoticeBasis) : connectionEvolver.initialState;
}
