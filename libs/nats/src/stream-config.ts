import type { ConsumerSpec, StreamSpec } from '@postern/contracts';
import { AckPolicy, DeliverPolicy, DiscardPolicy, PersistMode, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import type { ConsumerConfig, StreamConfig } from '@nats-io/jetstream';

const nanosPerMs = 1_000_000;

/** The configuration that a stream must have; the number of replicas is the deployment's matter. */
export function streamConfigOf(spec: StreamSpec) {
  return {
    name: spec.name,
    subjects: [...spec.subjects],
    retention: spec.retention === 'workqueue' ? RetentionPolicy.Workqueue : RetentionPolicy.Limits,
    storage: StorageType.File,
    discard: spec.discard === 'new' ? DiscardPolicy.New : DiscardPolicy.Old,
    deny_delete: spec.denyDelete,
    deny_purge: spec.denyPurge,
    allow_direct: spec.allowDirect,
    allow_msg_schedules: spec.allowMsgSchedules,
    allow_msg_ttl: spec.allowMsgTtl,
    allow_atomic: spec.allowAtomic,
    persist_mode: spec.persistMode === 'async' ? PersistMode.Async : PersistMode.Default,
    // Schedules are replaced by roll-ups; nowhere else may a publisher roll anything up.
    allow_rollup_hdrs: spec.allowMsgSchedules,
    max_msgs: -1,
    max_msgs_per_subject: spec.maxMsgsPerSubject,
    max_bytes: spec.maxBytes,
    max_msg_size: spec.maxMsgSizeBytes,
    max_age: spec.maxAgeMs * nanosPerMs,
    max_consumers: -1,
    duplicate_window: spec.duplicateWindowMs * nanosPerMs,
    sealed: false,
    no_ack: false,
  } satisfies Partial<StreamConfig> & Record<string, unknown>;
}

export type WantedStreamConfig = ReturnType<typeof streamConfigOf>;

/** What would let messages in, or out, by another way than ours: never wanted. */
const neverSet = ['mirror', 'sources', 'republish', 'subject_transform', 'first_seq'] as const;

export interface ConfigDifference {
  readonly field: string;
  readonly wanted: unknown;
  readonly found: unknown;
}

/**
 * Compares what the server returned with what was wanted, field by field.
 *
 * More room than wanted is no difference: who has the disk for it may give it. No limit at all is one. That a stream syncs
 * each message though it need not is none either.
 */
export function streamDifferences(
  wanted: WantedStreamConfig,
  found: Readonly<Record<string, unknown>>,
): ConfigDifference[] {
  const differences: ConfigDifference[] = [];
  for (const [field, value] of Object.entries(wanted)) {
    const actual = found[field] ?? absentValue(field, value);
    // It cannot be taken back where an older build set it.
    const isStricter = field === 'deny_purge' && actual === true;
    const isRoomier = field === 'max_bytes' && typeof actual === 'number' && actual > Number(value);
    // Never to be changed, and refused where a stream has replicas.
    const isSafer = field === 'persist_mode' && actual === PersistMode.Default;
    if (!sameValue(value, actual) && !isRoomier && !isStricter && !isSafer)
      differences.push({ field, wanted: value, found: found[field] });
  }
  for (const field of neverSet) {
    const actual = found[field];
    const isSet = Array.isArray(actual) ? actual.length > 0 : Boolean(actual);
    if (isSet) differences.push({ field, wanted: undefined, found: actual });
  }
  return differences;
}

/** The server leaves out what is false, and how a stream is stored unless it is told. */
function absentValue(field: string, wanted: unknown): unknown {
  if (field === 'persist_mode') return PersistMode.Default;
  return typeof wanted === 'boolean' ? false : undefined;
}

function sameValue(wanted: unknown, found: unknown): boolean {
  if (!Array.isArray(wanted) || !Array.isArray(found)) return wanted === found;
  return JSON.stringify(wanted.map(String).toSorted()) === JSON.stringify(found.map(String).toSorted());
}

const deliverPolicies = {
  all: DeliverPolicy.All,
  new: DeliverPolicy.New,
  last_per_subject: DeliverPolicy.LastPerSubject,
} as const;

/** The configuration of a durable consumer. */
export function consumerConfigOf(spec: ConsumerSpec) {
  return {
    durable_name: spec.name,
    name: spec.name,
    filter_subject: spec.filterSubject,
    ack_policy: AckPolicy.Explicit,
    ack_wait: spec.ackWaitMs * nanosPerMs,
    max_ack_pending: spec.maxAckPending,
    max_deliver: spec.maxDeliver,
    deliver_policy: deliverPolicies[spec.deliverPolicy],
  } satisfies Partial<ConsumerConfig>;
}

export type WantedConsumerConfig = ReturnType<typeof consumerConfigOf>;

export function consumerDifferences(
  wanted: WantedConsumerConfig,
  found: Readonly<Record<string, unknown>>,
): ConfigDifference[] {
  return Object.entries(wanted)
    .filter(([field, value]) => !sameValue(value, found[field]))
    .map(([field, value]) => ({ field, wanted: value, found: found[field] }));
}
