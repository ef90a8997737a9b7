import { Injectable } from '@nestjs/common';
import { newId, timestampOf } from '@postern/contracts';
import { Clock, correlationId, Logger, Metrics } from '@postern/service';

import { ConnectionFeed } from './connection-feed.ts';
import type { KeyOwner } from './data-keys.ts';
import { LeaseRecords } from './lease/lease-records.ts';

/** What did not open in its place. */
export interface Unopened extends KeyOwner {
  /** Such as `access_token`, `client_secret`, `data_key`. */
  readonly kind: string;
}

/**
 * Says that something stored did not open: a bug, or somebody who changes rows. It is counted, logged and recorded on
 * ACCESS as a refusal, whoever asked; a lease's own refusal is recorded beside it under the same correlation id.
 */
@Injectable()
export class CiphertextAlarm {
  readonly #clock: Clock;
  readonly #feed: ConnectionFeed;
  readonly #records: LeaseRecords;
  readonly #logger: Logger;
  readonly #unopened;

  constructor(clock: Clock, feed: ConnectionFeed, records: LeaseRecords, logger: Logger, metrics: Metrics) {
    this.#clock = clock;
    this.#feed = feed;
    this.#records = records;
    this.#logger = logger;
    this.#unopened = metrics.counter('postern.vault.ciphertexts.unopened');
  }

  /** Never rejects: the refusal stands whether or not it could be recorded. */
  async raise({ tenantId, ownerId, kind }: Unopened): Promise<void> {
    const code = 'vault.ciphertext_invalid';
    // A session's id stands in the kind of what it left; labels and purposes take no ids.
    const [what = kind] = kind.split('/');
    this.#unopened.add(1, { kind: what });
    this.#logger.error('a stored ciphertext did not open in its place', { tenantId, ownerId, kind: what, code });
    try {
      await this.#records.record({
        leaseId: newId('lease'),
        at: timestampOf(this.#clock.nowMs()),
        tenantId,
        platformId: 'vault',
        agentId: 'vault',
        connectionId: ownerId,
        purpose: `open ${what}`,
        scopes: null,
        outcome: 'refused',
        code,
        credentialVersion: null,
        position: this.#feed.position,
        correlationId: correlationId(),
      });
    } catch (error) {
      this.#logger.error('what did not open could not be recorded', { tenantId, ownerId, kind: what, err: error });
    }
  }
}
