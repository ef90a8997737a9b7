import {
  AuthorizationDetailsGranted,
  ConnectionId,
  PlatformId,
  SenderConstraint,
  SessionId,
  TenantId,
  TimeMs,
} from '@postern/contracts';
import { sealCookie, type Secret } from '@postern/crypto';
import { z } from 'zod';

import { opened } from './cookies.ts';

const name = 'postern completion code';

/** What a completion code says; nobody but us can read or make one. */
const CompletionCode = z.object({
  sessionId: SessionId,
  tenantId: TenantId,
  platformId: PlatformId,
  connectionId: ConnectionId,
  accountDigest: z.string().nullable(),
  accountKeys: z.record(z.string(), z.string()).optional(),
  senderConstrained: SenderConstraint.optional(),
  authorizationDetails: AuthorizationDetailsGranted.optional(),
  expiresAtMs: TimeMs,
});
export type CompletionCode = z.infer<typeof CompletionCode>;

/**
 * The `code` that goes back to the platform: proof that the provider authorized this session, worth nothing without
 * the platform's own login of the end user.
 */
export function sealCompletionCode(key: Secret<Uint8Array>, code: CompletionCode): string {
  return sealCookie({ key: key.reveal(), name, value: CompletionCode.parse(code) });
}

/** @returns undefined for anything that is no code of ours. */
export function openCompletionCode(key: Secret<Uint8Array>, sealed: string): CompletionCode | undefined {
  const parsed = CompletionCode.safeParse(opened({ key, name, sealed }));
  return parsed.success ? parsed.data : undefined;
}
