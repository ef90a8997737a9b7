import { newId, operations, PosternError, type TokenEndpointAuthMethod } from '@postern/contracts';
import { sealJwe, type Secret } from '@postern/crypto';
import { createRegistration, registrationEvolver, storeRegistrationSecret } from '@postern/domain';
import type { z } from 'zod';

import { readTrust } from '../data-folder/keys.ts';
import type { Session } from '../session/session.ts';
import { decideAdmin } from './decide.ts';

export interface NewRegistration {
  /** Reserved before, so that its redirect URI could be entered at the provider first. */
  readonly registrationId?: string | undefined;
  readonly tenantId: string;
  readonly providerId: string;
  readonly displayName: string;
  readonly clientId: string;
  readonly tokenEndpointAuthMethod: z.infer<typeof TokenEndpointAuthMethod>;
  readonly parameters: Readonly<Record<string, string>>;
  readonly scopes: readonly string[];
}

/** Creates our client at a provider; its redirect URI follows from its id. */
export async function createClientRegistration(
  session: Session,
  input: NewRegistration,
): Promise<{ registrationId: string; redirectUri: string }> {
  const { tenantId, registrationId = newId('registration'), ...rest } = input;
  await decideAdmin(session, { evolver: registrationEvolver, tenantId, id: registrationId }, (state) =>
    createRegistration({ ...rest, parameters: { ...rest.parameters }, scopes: [...rest.scopes] }, state),
  );
  return { registrationId, redirectUri: redirectUriOf(session, registrationId) };
}

/** The one redirect URI of a registration, to be entered at the provider exactly so. @source RFC 9700 §2.1 */
export function redirectUriOf(session: Session, registrationId: string): string {
  return `${session.publicUrl}/oauth/callback/${registrationId}`;
}

/**
 * Puts a client secret into the vault, sealed to the vault's pinned key, and records that it is there.
 *
 * @effect repeats store another version; the newest is used.
 */
export async function storeClientSecret(
  session: Session,
  { tenantId, registrationId, secret }: { tenantId: string; registrationId: string; secret: Secret },
): Promise<number> {
  const recipient = readTrust(session.folder).recipients.vault;
  if (recipient === undefined) throw new PosternError('config.invalid', 'The trust bundle names no key of the vault.');
  const sealed = sealJwe({
    plaintext: Buffer.from(secret.reveal()),
    recipient,
    protectedHeader: { reg: registrationId },
  });
  const request = { tenant_id: tenantId, registration_id: registrationId, sealed_secret: sealed };
  const { secret_version: secretVersion } = await session.call(operations.storeClientSecret, tenantId, request);
  await decideAdmin(session, { evolver: registrationEvolver, tenantId, id: registrationId }, (state) =>
    storeRegistrationSecret({ secretVersion }, state),
  );
  return secretVersion;
}
