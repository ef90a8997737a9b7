import type { KeysStatus } from '@postern/contracts';

import { table } from '../output/printer.ts';

/** A tenant's keys, as the command prints them. */
export interface TenantKeys extends KeysStatus {
  readonly tenant_id: string;
}

/** One row a tenant, then what waits for an operator. */
export function statusLines(tenants: readonly TenantKeys[]): string[] {
  const rows = tenants.map((one) => [
    one.tenant_id,
    one.key_service.kind,
    one.key_service.latest === null ? '-' : `${one.key_service.oldest}-${one.key_service.latest}`,
    byVersion(one.data_keys.wrapped_by),
    byVersion(one.data_keys.made_under),
    shreddings(one.shreddings),
  ]);
  return [
    ...table([['TENANT', 'KEYS IN', 'VERSIONS', 'WRAPPED BY', 'MADE UNDER', 'SHREDDINGS'], ...rows]),
    ...tenants.flatMap(hints),
  ];
}

/** Every shredding, and since when no old copy of the tables yields its key. */
export function shreddingLines(tenants: readonly TenantKeys[]): string[] {
  const rows = tenants.flatMap(({ shreddings: { page } }) =>
    page.map((one) => [
      one.owner_id,
      one.shredded_at ?? 'not known',
      one.key_version === null ? '-' : String(one.key_version),
      one.complete_since ?? (one.key_version === null ? 'not known' : `once version ${one.key_version} is gone`),
    ]),
  );
  return ['', ...table([['SHREDDED', 'AT', 'KEY VERSION', 'COMPLETE SINCE'], ...rows])];
}

function hints({
  tenant_id: id,
  key_service: service,
  data_keys: keys,
  shreddings: { pending },
}: TenantKeys): string[] {
  const { latest, oldest, reason } = service;
  const behind = keys.wrapped_by.reduce((sum, one) => sum + (one.version === latest ? 0 : one.count), 0);
  return [
    ...(reason === null ? [] : [`${id}: ${reason}`]),
    ...(behind === 0 || latest === null ? [] : [`${id}: ${behind} data keys wait for: postern keys rewrap`]),
    ...(behind > 0 || latest === null || latest === oldest
      ? []
      : [`${id}: versions before ${latest} can go: postern keys rewrap --retire`]),
    ...(pending === 0 || latest !== oldest ? [] : [`${id}: to complete its shreddings: postern keys rotate --retire`]),
  ];
}

function byVersion(counts: KeysStatus['data_keys']['wrapped_by']): string {
  return counts.map(({ version, count }) => `v${version ?? '?'}: ${count}`).join(', ') || '-';
}

function shreddings({ complete, pending, complete_since, pending_until_before }: KeysStatus['shreddings']): string {
  const parts = [
    ...(complete > 0 ? [`${complete} complete since ${complete_since}`] : []),
    ...(pending > 0 ? [`${pending} until versions before ${pending_until_before ?? '?'} are gone`] : []),
  ];
  return parts.join(', ') || '-';
}
