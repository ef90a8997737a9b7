import { CompactJws, LeaseReceipt, leaseReceiptType, parseJson, type AccessRecord } from '@postern/contracts';
import { sha256Hex } from '@postern/crypto';

import { mayRecord, type AccessEntry } from './access-reader.ts';
import type { LogFinding } from './log-verifier.ts';
import type { CommitSigner, CommitVerifier } from './signing.ts';

/** Where a record of access became durable. */
export interface RecordPlace {
  readonly writer: string;
  /** The number of its group among those of its writer. */
  readonly sequence: number;
  /** Where its group stands on ACCESS; null where an acknowledgement was lost. */
  readonly position: number | null;
}

/**
 * The promise that a record stands where it was stored, signed by whoever recorded it.
 *
 * @returns a compact JWS, which any JOSE library checks with the writer's key of the trust bundle.
 * @source RFC 7515 §7.1, RFC 8037 §3.1
 */
export function signReceipt(record: AccessRecord, place: RecordPlace, signer: CommitSigner): string {
  const receipt: LeaseReceipt = {
    lease_id: record.leaseId,
    tenant_id: record.tenantId,
    connection_id: record.connectionId,
    agent_id: record.agentId,
    at: record.at,
    service: signer.identity,
    writer: place.writer,
    sequence: place.sequence,
    position: place.position,
    record_sha256: recordDigest(record),
  };
  const signed = `${encoded({ alg: 'EdDSA', typ: leaseReceiptType, kid: signer.keyId })}.${encoded(receipt)}`;
  return `${signed}.${signer.sign(Buffer.from(signed, 'ascii'))}`;
}

/** @returns undefined for what is no receipt that a service signed which records access. */
export function openReceipt(jws: string, verifier: CommitVerifier): LeaseReceipt | undefined {
  if (!CompactJws.safeParse(jws).success) return undefined;
  const [header = '', payload = '', signature = ''] = jws.split('.');
  const { alg, typ, kid } = (decoded(header) ?? {}) as Readonly<Record<string, unknown>>;
  if (alg !== 'EdDSA' || typ !== leaseReceiptType || typeof kid !== 'string') return undefined;
  const signed = verifier.verify(kid, () => Buffer.from(`${header}.${payload}`, 'ascii'), signature);
  const receipt = signed && parseJson(LeaseReceipt, decoded(payload));
  const isRecorders = signed !== undefined && mayRecord(signed.identity) && receipt?.service === signed.identity;
  return isRecorders ? receipt : undefined;
}

/** Is this the group that a receipt speaks of, and does it hold the record in its words? */
export function keepsPromise(
  receipt: LeaseReceipt,
  { identity, group }: Pick<AccessEntry, 'identity' | 'group'>,
): boolean {
  const { service, writer, sequence, lease_id: leaseId, record_sha256: digest } = receipt;
  const isPlace = service === identity && writer === group.writer && sequence === group.sequence;
  return isPlace && group.records.some((record) => record.leaseId === leaseId && recordDigest(record) === digest);
}

/** Looks for what receipts promise, while ACCESS passes by. */
export class ReceiptVerifier {
  readonly #missing: Set<LeaseReceipt>;

  constructor(receipts: readonly LeaseReceipt[]) {
    this.#missing = new Set(receipts);
  }

  /** Takes a group that its writer signed. */
  entry(entry: AccessEntry): void {
    for (const receipt of this.#missing) if (keepsPromise(receipt, entry)) this.#missing.delete(receipt);
  }

  /** What did not stand where it was promised, once all groups have passed. */
  end(): LogFinding[] {
    return [...this.#missing].map((receipt) => {
      const { lease_id: lease, service, writer, sequence, position } = receipt;
      const reason = `the record of ${lease} does not stand in group ${sequence} of its writer, as its receipt promises`;
      return { kind: 'receipt', position: position ?? 0, subject: `access.${service}.${writer}`, reason };
    });
  }
}

/** Members stand in a record as its writer put them: in the order of the schema. */
function recordDigest(record: AccessRecord): string {
  return sha256Hex(JSON.stringify(record));
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
}

function decoded(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
