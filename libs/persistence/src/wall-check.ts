import { PosternError } from '@postern/contracts';

import { tenantPolicyName } from './tenant-policy.ts';

/** Runs one query and gives its rows. @internal */
export type Query = (sql: string, params: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>;

/** Roles that the connected role is, or may become. */
const rolesSql = `select rolname as name, rolsuper as superuser, rolbypassrls as bypasses
  from pg_roles where pg_has_role(current_user, oid, 'member') and (rolsuper or rolbypassrls)`;

const relationsSql = `select c.relname as name, c.relkind as kind, c.relrowsecurity as enabled, c.relforcerowsecurity as forced,
    pg_has_role(current_user, c.relowner, 'member') as owned,
    (select coalesce(array_agg(p.polname::text), '{}') from pg_policy p where p.polrelid = c.oid) as policies,
    exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as of_tenants
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = ? and c.relkind in ('r', 'p', 'v', 'm', 'f')`;

/**
 * Refuses a database whose walls have a hole: the connected role may step over row security, owns a relation, or
 * a relation of the schema is not a table behind its forced tenant policy, nor a named one that holds no tenant's rows.
 *
 * @throws {PosternError} `config.invalid`, naming the role or the relation.
 * @internal
 */
export async function checkWalls(
  query: Query,
  { schema, sharedTables }: { readonly schema: string; readonly sharedTables: readonly string[] },
): Promise<void> {
  const [role] = await query(rolesSql, []);
  if (role) {
    throw refused(`the role can act as ${String(role['name'])}, which steps over row-level security`);
  }
  const relations = await query(relationsSql, [schema]);
  if (relations.length === 0) throw refused(`the schema ${schema} has no tables; run the migrations`);
  for (const relation of relations) {
    if (sharedTables.includes(String(relation['name']))) checkShared(relation, schema);
    else checkRelation(relation, schema);
  }
}

/** What is said to hold nothing of any tenant has no column that could name one. */
function checkShared(relation: Record<string, unknown>, schema: string): void {
  const name = `${schema}.${String(relation['name'])}`;
  const { kind, owned, of_tenants: ofTenants } = relation;
  if (kind !== 'r') throw refused(`${name} is not a table`);
  if (owned === true) throw refused(`the service's role owns ${name}`);
  if (ofTenants !== false) throw refused(`${name} holds rows of tenants, so it must stand behind the wall`);
}

function checkRelation(relation: Record<string, unknown>, schema: string): void {
  const name = `${schema}.${String(relation['name'])}`;
  const { kind, enabled, forced, owned, policies } = relation;
  if (kind !== 'r' && kind !== 'p') throw refused(`${name} is not a table, so no row-level security holds for it`);
  if (owned === true) throw refused(`the service's role owns ${name}`);
  if (enabled !== true || forced !== true) throw refused(`row-level security is not forced on ${name}`);
  if (!Array.isArray(policies) || policies.length !== 1 || policies[0] !== tenantPolicyName) {
    throw refused(`${name} must have the policy ${tenantPolicyName} and no other`);
  }
}

function refused(reason: string): PosternError {
  return new PosternError('config.invalid', `The database is not walled: ${reason}.`);
}
