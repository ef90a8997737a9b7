import { identifier } from './identifiers.ts';

/** The transaction's tenant, as every policy reads it. */
export const tenantSetting = 'postern.tenant_id';

/** The one policy that every table carries. */
export const tenantPolicyName = 'tenant_wall';

/**
 * The statements that put a table behind the tenant wall: only rows of the transaction's tenant are seen, changed
 * or made, by the owner as well. Without a tenant there are no rows.
 *
 * @param table `schema.table`; it must have a column `tenant_id`.
 */
export function tenantPolicySql(table: string): string[] {
  const name = table.split('.').map(identifier).join('.');
  const sameTenant = `(tenant_id = nullif(current_setting('${tenantSetting}', true), ''))`;
  return [
    `alter table ${name} enable row level security`,
    `alter table ${name} force row level security`,
    `create policy ${tenantPolicyName} on ${name} as permissive for all to public using ${sameTenant} with check ${sameTenant}`,
  ];
}
