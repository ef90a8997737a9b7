import { z } from 'zod';

import type { AppName } from './apps.ts';

/** What a client registration keeps in the vault. Each kind has versions of its own. */
export const RegistrationSecretKind = z.enum(['client_secret', 'private_key', 'tls_certificate', 'webhook_secret']);
export type RegistrationSecretKind = z.infer<typeof RegistrationSecretKind>;

interface SecretRights {
  /** Has it, sealed to its pinned key. */
  readonly releasedTo: readonly AppName[];
  /** Has something signed with it, and never sees it. */
  readonly signsFor: readonly AppName[];
}

/**
 * Who may have which secret of a registration: the operations below take their callers from here, so that the bus
 * itself refuses everybody else. A private key is released to nobody.
 */
export const registrationSecretRights: Readonly<Record<RegistrationSecretKind, SecretRights>> = Object.freeze({
  client_secret: { releasedTo: ['authorization', 'refresh', 'revocation'], signsFor: [] },
  private_key: { releasedTo: [], signsFor: ['authorization', 'refresh', 'revocation'] },
  /** The key is needed in the handshake itself, so that it goes with its certificate to who makes the connection. */
  tls_certificate: { releasedTo: ['authorization', 'refresh', 'revocation'], signsFor: [] },
  webhook_secret: { releasedTo: ['revocation'], signsFor: [] },
});
