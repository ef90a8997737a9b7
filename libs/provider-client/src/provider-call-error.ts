/**
 * Why a call to a provider has no answer that could be used.
 *
 * `unreachable`: nothing was sent. `interrupted` and `timeout`: it was perhaps processed. The message is the reason
 * alone: no URL, body or header is kept, since any of them may hold a secret.
 */
export type CallErrorReason =
  | 'insecure_url'
  | 'address_refused'
  | 'unreachable'
  | 'timeout'
  | 'interrupted'
  | 'redirected'
  | 'too_large'
  | 'invalid_answer'
  | 'wider_scope'
  | 'metadata_incomplete'
  | 'client_certificate_refused'
  | 'client_certificate_expired';

/** With these nothing was sent, or nobody listened. */
const neverHeard: ReadonlySet<CallErrorReason> = new Set([
  'insecure_url',
  'address_refused',
  'unreachable',
  'metadata_incomplete',
  'client_certificate_refused',
  'client_certificate_expired',
]);

/** @internal Never leaves this library: outcomes and `PosternError`s do. */
export class ProviderCallError extends Error {
  override readonly name = 'ProviderCallError';
  readonly reason: CallErrorReason;
  readonly httpStatus: number | null;

  constructor(reason: CallErrorReason, { httpStatus }: { httpStatus?: number } = {}) {
    super(`the call to the provider ended with ${reason}`);
    this.reason = reason;
    this.httpStatus = httpStatus ?? null;
  }

  /** May the provider have done what it was asked, so that a one-time token counts as spent? */
  get mayHaveBeenProcessed(): boolean {
    return !neverHeard.has(this.reason);
  }
}
