import { limits } from './limits.ts';

/** A stream as it must be: what the provisioner creates, and what every service compares at start (DESIGN §4). */
export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly retention: 'limits' | 'workqueue';
  readonly discard: 'new' | 'old';
  readonly denyDelete: boolean;
  readonly denyPurge: boolean;
  readonly allowDirect: boolean;
  readonly allowMsgSchedules: boolean;
  readonly allowMsgTtl: boolean;
  /** May messages be stored together or not at all? */
  readonly allowAtomic: boolean;
  /** `async`: acknowledged before it is synced, for what can be made again from the log (docs/adr/0062). */
  readonly persistMode: 'default' | 'async';
  readonly maxMsgsPerSubject: number;
  readonly maxBytes: number;
  readonly maxMsgSizeBytes: number;
  readonly maxAgeMs: number;
  readonly duplicateWindowMs: number;
}

/** A durable consumer that the provisioner makes; services may only read from it. */
export interface ConsumerSpec {
  readonly stream: string;
  readonly name: string;
  readonly filterSubject: string;
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
  readonly maxDeliver: number;
  /** `last_per_subject`: what stands when the consumer is made is told once an aggregate, not commit by commit. */
  readonly deliverPolicy: 'all' | 'new' | 'last_per_subject';
}

const dayMs = 86_400_000;
const gibibyte = 1024 ** 3;

const appendOnly = {
  retention: 'limits',
  discard: 'new',
  denyDelete: true,
  denyPurge: true,
  allowDirect: true,
  allowMsgSchedules: false,
  allowMsgTtl: false,
  allowAtomic: false,
  persistMode: 'default',
  maxMsgsPerSubject: -1,
  maxMsgSizeBytes: 512 * 1024,
  maxAgeMs: 0,
  duplicateWindowMs: 120_000,
} as const;

/** The streams of Postern. The log is append-only; the others are kept by age or by acknowledgement. */
export const streams = Object.freeze({
  connections: {
    ...appendOnly,
    name: 'CONNECTIONS',
    subjects: ['connection.*.*.*'],
    // Its beginning goes once it is archived and verified; nobody but the provisioner may (docs/adr/0031).
    denyPurge: false,
    // An import of connections is one decision about many (docs/adr/0049).
    allowAtomic: true,
    maxBytes: 4 * gibibyte,
  },
  admin: { ...appendOnly, name: 'ADMIN', subjects: ['admin.*.*.*'], maxBytes: gibibyte },
  access: { ...appendOnly, name: 'ACCESS', subjects: ['access.*.*'], denyPurge: false, maxBytes: 4 * gibibyte },
  checkpoints: {
    ...appendOnly,
    name: 'CHECKPOINTS',
    subjects: ['checkpoint.*'],
    // Each proves that it continues the one before: the eldest may go.
    discard: 'old',
    maxMsgsPerSubject: 131_072,
    maxBytes: gibibyte,
    maxMsgSizeBytes: 32 * 1024,
  },
  refresh: {
    ...appendOnly,
    name: 'REFRESH',
    subjects: ['refresh.schedule.*.*', 'refresh.due.*.*'],
    retention: 'workqueue',
    discard: 'old',
    denyDelete: false,
    denyPurge: false,
    allowMsgSchedules: true,
    allowMsgTtl: true,
    persistMode: 'async',
    maxMsgsPerSubject: 1,
    maxBytes: gibibyte,
    maxMsgSizeBytes: 16 * 1024,
  },
  signals: {
    ...appendOnly,
    name: 'SIGNALS',
    subjects: ['signal.*.*.*'],
    // Full means: no, come again. To drop the eldest would lose what a sender was told is safe.
    discard: 'new',
    // It may name people: an operator can take a message out.
    denyDelete: false,
    denyPurge: false,
    maxBytes: gibibyte,
    maxAgeMs: 30 * dayMs,
  },
  notifications: {
    ...appendOnly,
    name: 'NOTIFICATIONS',
    subjects: ['notify.>'],
    discard: 'old',
    denyDelete: false,
    denyPurge: false,
    maxBytes: gibibyte,
    maxMsgSizeBytes: 16 * 1024,
    maxAgeMs: 30 * dayMs,
  },
} as const satisfies Record<string, StreamSpec>);

export type StreamKey = keyof typeof streams;

/** The durable consumers, one reader each. */
export const consumers = Object.freeze({
  refreshWorker: {
    stream: 'REFRESH',
    name: 'refresh-worker',
    filterSubject: 'refresh.due.*.*',
    ackWaitMs: limits.refreshAckWaitMs,
    /** What is put back counts here, and one tenant's backlog must not hold back the others. */
    maxAckPending: 1_048_576,
    maxDeliver: -1,
    deliverPolicy: 'all',
  },
  refreshScheduler: {
    stream: 'CONNECTIONS',
    name: 'refresh-scheduler',
    filterSubject: 'connection.>',
    ackWaitMs: 30_000,
    maxAckPending: 1_024,
    maxDeliver: -1,
    deliverPolicy: 'last_per_subject',
  },
  ownerNotices: {
    stream: 'CONNECTIONS',
    name: 'audit-notices',
    filterSubject: 'connection.>',
    ackWaitMs: 30_000,
    maxAckPending: 256,
    maxDeliver: -1,
    deliverPolicy: 'all',
  },
  upstreamRevocation: {
    stream: 'CONNECTIONS',
    name: 'revocation-upstream',
    filterSubject: 'connection.>',
    ackWaitMs: 60_000,
    /** What waits for a provider that is down, for days maybe, counts here and must not hold back the others. */
    maxAckPending: 65_536,
    maxDeliver: -1,
    deliverPolicy: 'all',
  },
  signalDecisions: {
    stream: 'SIGNALS',
    name: 'revocation-signals',
    filterSubject: 'signal.>',
    /** After a crash nobody weighs what was being weighed for so long; whoever lives asks for more time. */
    ackWaitMs: 10_000,
    /** What waits for a connection to appear counts here. */
    maxAckPending: 65_536,
    maxDeliver: -1,
    deliverPolicy: 'all',
  },
  webhookFanOut: {
    stream: 'NOTIFICATIONS',
    name: 'notifier-fan-out',
    filterSubject: 'notify.>',
    ackWaitMs: 30_000,
    maxAckPending: 1_024,
    maxDeliver: -1,
    deliverPolicy: 'all',
  },
} as const satisfies Record<string, ConsumerSpec>);

export type ConsumerKey = keyof typeof consumers;
