import { Injectable } from '@nestjs/common';
import { administratorToken, subjects, type ConnectionView } from '@postern/contracts';
import {
  connectionEvolver,
  delegationOf,
  loadDelegationChain,
  requireOwnedBy,
  upcast,
  viewOf,
  type Connection,
} from '@postern/domain';
import { CommitReader, Repository, type AnyEvent, type Loaded } from '@postern/event-log';
import { Clock, EventLogs, ServiceConfig } from '@postern/service';

/** The caller of a platform's question, as its subject proves it. */
export interface Asker {
  readonly tenantId: string;
  readonly platformId: string;
}

/** Reads the connection log for those who ask; it decides and writes nothing. */
@Injectable()
export class ConnectionLog {
  readonly repository: Repository<Connection, AnyEvent>;
  readonly #clock: Clock;
  readonly #publicUrl: string;

  constructor(
    readonly logs: EventLogs,
    readonly reader: CommitReader,
    config: ServiceConfig,
    clock: Clock,
  ) {
    this.#clock = clock;
    this.#publicUrl = config.publicUrl;
    this.repository = new Repository({
      log: logs.connections,
      evolver: connectionEvolver,
      reader,
      source: '/postern/audit',
      upcast: upcast,
    });
  }

  /** @throws {PosternError} `connection.not_found`, also for another platform's. */
  async load(asker: Asker, connectionId: string): Promise<Loaded<Connection>> {
    const loaded = await this.repository.load({ tenantId: asker.tenantId, id: connectionId });
    requireOwnedBy(loaded.state, asker);
    return loaded;
  }

  async view({ state, revision, position }: Loaded<Connection>): Promise<ConnectionView> {
    const { tenantId, connectionId } = state;
    const reauthorizeUrl = this.reauthorizeUrl(connectionId);
    const load = async (id: string) => (await this.repository.load({ tenantId, id })).state;
    const chain = await loadDelegationChain(delegationOf(state), load);
    return viewOf(state, { revision, position, reauthorizeUrl, chain, nowMs: this.#clock.nowMs() });
  }

  reauthorizeUrl(connectionId: string): string {
    return `${this.#publicUrl}/connect/${connectionId}`;
  }

  subjectsOf(asker: Asker): string {
    return subjects.connectionsOfTenant(asker.tenantId);
  }
}

/** May this asker see connections of that platform? */
export function sees(asker: Asker, platformId: string): boolean {
  return asker.platformId === administratorToken || asker.platformId === platformId;
}
