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
const kinds: ReadonlyMap<string, AggregateKind> = new Map(aggregateKinds.map((kind) => [kind, kind]));

/** The aggregate a subject stands for, in whatever epoch; undefined when it is no subject of an aggregate. */
export function aggregateOf(subject: string): Aggregate | undefined {
  const first = subject.indexOf('.');
  const second = subject.indexOf('.', first + 1);
  const third = subject.indexOf('.', second + 1);
  if (second <= first || third <= second || subject.includes('.', third + 1)) return undefined;
  const [middle, before] = [subject.slice(first + 1, second), subject.slice(second + 1, third)];
  const id = subject.slice(third + 1);
  if (id === '') return undefined;
  if (subject.startsWith('connection.')) {
    return epochPattern.test(middle) ? { tenantId: before, kind: 'connection', id } : undefined;
  }
  const kind = kinds.get(before);
  if (!subject.startsWith('admin.') || kind === undefined || kind === 'connection') return undefined;
  return { tenantId: middle, kind, id };
}
