import { aggregateKinds, subjects, type AggregateKind } from '@postern/contracts';

/** One aggregate: a connection on CONNECTIONS, or a tenant, platform, agent, administrator, registration on ADMIN. */
export interface Aggregate {
  readonly tenantId: string;
  readonly kind: AggregateKind;
  readonly id: string;
}

/** The one subject on which an aggregate's commits stand. @throws {PosternError} `request.malformed` */
export function subjectOf({ tenantId, kind, id }: Aggregate): string {
  return kind === 'connection'
    ? subjects.connection({ tenantId, connectionId: id })
    : subjects.admin({ tenantId, aggregate: kind, id });
}

const epochPattern = /^\d+$/;

/** The aggregate a subject stands for, in whatever epoch; undefined when it is no subject of an aggregate. */
export function aggregateOf(subject: string): Aggregate | undefined {
  const tokens = subject.split('.');
  const [stream, second = '', third = '', id = ''] = tokens;
  if (tokens.length !== 4 || id === '') return undefined;
  if (stream === 'connection') {
    return epochPattern.test(second) ? { tenantId: third, kind: 'connection', id } : undefined;
  }
  const kind = aggregateKinds.find((known) => known === third);
  if (stream !== 'admin' || kind === undefined || kind === 'connection') return undefined;
  return { tenantId: second, kind, id };
}
