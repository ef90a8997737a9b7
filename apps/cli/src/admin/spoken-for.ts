import { assertId, PosternError } from '@postern/contracts';
import { registrationEvolver, type SpokenFor } from '@postern/domain';
import type { Command } from 'commander';

import type { Session } from '../session/session.ts';
import { gather } from './shown.ts';

/** Adds the option that says about which connections somebody outside may speak. */
export function withScope(command: Command): Command {
  const meaning = 'it may speak about its connections; tenant/registration for another tenant’s (may be repeated)';
  return command.requiredOption('--registration <registration>', meaning, gather, []);
}

/** The registrations that were named; a misspelled one would be one about which nothing is ever heard. */
export async function scopeOf(session: Session, tenantId: string, named: readonly string[]): Promise<SpokenFor[]> {
  return await Promise.all(
    named.map(async (name) => {
      const [first = '', second] = name.split('/');
      const owner = second === undefined ? tenantId : assertId('tenant', first);
      const registrationId = assertId('registration', second ?? first);
      const { revision } = await session.repository(registrationEvolver).load({ tenantId: owner, id: registrationId });
      if (revision > 0) return { tenantId: owner, registrationId };
      throw new PosternError(
        'registration.not_found',
        `${registrationId} is not there; another tenant’s is TENANT/REG.`,
      );
    }),
  );
}
