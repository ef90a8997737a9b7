import { PosternError } from '@postern/contracts';

import { busError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import type { AccountKeys } from './operator.ts';

const answerTimeoutMs = 5_000;

interface ClaimsAnswer {
  readonly data?: { readonly code?: number };
  readonly error?: { readonly code?: number; readonly description?: string };
}

/**
 * Gives the running servers an account that was signed anew; users revoked in it lose their connections at once.
 *
 * Every server of a cluster hears it, and keeps it over a restart. One answers for all.
 *
 * @param bus a connection of the system account.
 * @throws {PosternError} `bus.unavailable` when it was not taken, `bus.timeout`, `auth.forbidden`
 * @effect may be repeated.
 */
export async function updateAccount(bus: Bus, { jwt }: Pick<AccountKeys, 'jwt'>): Promise<void> {
  const answer = await bus.connection
    .request('$SYS.REQ.CLAIMS.UPDATE', jwt, { timeout: answerTimeoutMs })
    .then((message) => message.json<ClaimsAnswer>())
    .catch((error: unknown) => {
      throw busError(error);
    });
  if (answer.data?.code !== 200) {
    const why = answer.error?.description ?? 'it does not say why';
    throw new PosternError('bus.unavailable', `nats-server did not take the account: ${why}.`);
  }
}
