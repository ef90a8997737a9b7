import {
  administratorSignatureContext,
  administratorStatement,
  PosternError,
  subjects,
  type AdministratorDecision,
  type AdministratorJwk,
  type SignedBy,
} from '@postern/contracts';
import { signedMessage, signer, verifier, type SigningPrivateJwk } from '@postern/crypto';

/** An administrator's key as the log has it, with what was signed when it came. */
export interface RecordedAdministrator {
  readonly administratorId: string;
  readonly publicJwk: AdministratorJwk;
  readonly by: SignedBy | null;
}

/** Signs a decision as the administrator whose key it is. @returns base64url */
export function signAsAdministrator(decision: AdministratorDecision, privateJwk: SigningPrivateJwk): string {
  return signer(privateJwk).sign(statementBytes(decision));
}

/**
 * Checks that a decision is signed by an administrator, and that others vouched for him, back to the first: whoever can
 * write ADMIN can write an event, and not this.
 *
 * @param administrators of the tenant, in the order of the log, removed ones as well: what they signed stays signed. The
 *   first one's key is taken as it stands.
 * @throws {PosternError} `administrator.signature_invalid`
 */
export function requireSignature(
  decision: AdministratorDecision,
  by: SignedBy,
  administrators: readonly RecordedAdministrator[],
): void {
  const at = administrators.findIndex(({ administratorId }) => administratorId === by.administratorId);
  const who = administrators[at];
  if (who === undefined || !isSignedWith(who.publicJwk, decision, by.signature)) throw invalid(by.administratorId);
  if (at === 0) return;
  // Each was added by one before: it ends at the first.
  if (who.by === null) throw invalid(by.administratorId);
  requireSignature(additionOf(who, decision.tenantId), who.by, administrators.slice(0, at));
}

/** What was signed when an administrator was added. */
function additionOf(recorded: RecordedAdministrator, tenantId: string): AdministratorDecision {
  const { removed: _removed, ...data } = recorded as RecordedAdministrator & { removed?: boolean };
  return { tenantId, aggregate: 'governance', aggregateId: tenantId, type: 'AdministratorAdded', data: { ...data } };
}

function isSignedWith(publicJwk: AdministratorJwk, decision: AdministratorDecision, signature: string): boolean {
  try {
    return verifier(publicJwk).verify(statementBytes(decision), signature);
  } catch {
    // What is no key has signed nothing.
    return false;
  }
}

function statementBytes(decision: AdministratorDecision): Buffer {
  const { tenantId, aggregate, aggregateId } = decision;
  const subject = subjects.admin({ tenantId, aggregate, id: aggregateId });
  return signedMessage(administratorSignatureContext, subject, Buffer.from(administratorStatement(decision), 'utf8'));
}

function invalid(administratorId: string): PosternError {
  return new PosternError('administrator.signature_invalid', `${administratorId} has not signed this.`);
}
