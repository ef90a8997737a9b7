import { idPrefixes, type IdKind } from '@postern/contracts';
import type { AggregateRef } from '@postern/event-log';

import type { Profile } from './profile.ts';
import type { ProviderRules } from './providers.ts';

/** A connection of the simulation, before anything has happened to it. */
export interface Subject extends AggregateRef {
  readonly platformId: string;
  readonly registrationId: string;
  readonly providerId: string;
  readonly rules: ProviderRules;
}

/** The connections of a run: in turn at each provider, of each tenant. */
export function subjectsOf({ connections, tenants, providers }: Profile): Subject[] {
  const all = Object.entries(providers);
  return Array.from({ length: connections }, (_, index) => {
    const tenant = index % tenants;
    const [providerId, rules] = all[index % all.length] as [string, ProviderRules];
    return {
      tenantId: idOf('tenant', tenant),
      id: idOf('connection', index),
      platformId: idOf('platform', tenant),
      registrationId: idOf('registration', tenant * all.length + (index % all.length)),
      providerId,
      rules,
    };
  });
}

/** Ids that are known beforehand count up: the moment of a refresh depends on the connection's. */
function idOf(kind: IdKind, index: number): string {
  return `${idPrefixes[kind]}_0${index
    .toString(32)
    .replace(/[iloua-z]/g, digitOf)
    .padStart(25, '0')}`;
}

/** Of 32, as Crockford writes it. */
function digitOf(char: string): string {
  return '0123456789abcdefghjkmnpqrstvwxyz'[Number.parseInt(char, 32)] as string;
}
