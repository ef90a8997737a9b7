import type { ConnectionEventType } from '@postern/contracts';

import type { EventMeta } from '../evolver.ts';
import type { DataOf } from './events.ts';
import type { Connection } from './state.ts';

/** One function an event type; a missing type does not compile. */
export type Evolvers<T extends ConnectionEventType> = {
  readonly [K in T]: (state: Connection, data: DataOf<K>, meta: EventMeta) => Connection;
};
