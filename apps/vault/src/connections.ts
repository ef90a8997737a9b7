import type { ConnectionEvent } from '@postern/contracts';
import type { Connection } from '@postern/domain';
import { Repository } from '@postern/event-log';

import type { CredentialOwner } from './sealed-token-set.ts';

/** The connections of the log; states in memory are kept by `ConnectionFeed`. */
export class Connections extends Repository<Connection, ConnectionEvent> {}

/** Where a connection's credentials stand, as the log says. */
export function ownerOf(state: Connection): CredentialOwner {
  const { tenantId, connectionId, providerId } = state;
  return { tenantId, connectionId, providerId };
}
