import { AuthorizationDetails, SessionId } from '@postern/contracts';
import { sealCookie, type Secret } from '@postern/crypto';
import { z } from 'zod';

import { opened } from './cookies.ts';

const name = 'postern authorization details';

/** Whose they are is part of it: those of one session open in no other. */
const AskedDetails = z.object({ sessionId: SessionId, details: AuthorizationDetails });
export type AskedDetails = z.infer<typeof AskedDetails>;

/** The member of the query of a connect page that carries them. */
export const detailsParameter = 'details';

/**
 * The authorization details of a session, as the URL of its page carries them: nobody but us can read or make them. They
 * may name accounts and amounts, and rest nowhere until the browser is sent to the provider.
 */
export function sealAskedDetails(key: Secret<Uint8Array>, asked: AskedDetails): string {
  return sealCookie({ key: key.reveal(), name, value: AskedDetails.parse(asked) });
}

/** @returns undefined for anything that we did not seal for this session. */
export function openAskedDetails(
  key: Secret<Uint8Array>,
  { sessionId, sealed }: { readonly sessionId: string; readonly sealed: unknown },
): AuthorizationDetails | undefined {
  if (typeof sealed !== 'string') return undefined;
  const parsed = AskedDetails.safeParse(opened({ key, name, sealed }));
  return parsed.success && parsed.data.sessionId === sessionId ? parsed.data.details : undefined;
}
