import { setTimeout as delay } from 'node:timers/promises';

import { accountExports } from '@postern/contracts';
import { encodeAccount, encodeOperator, type Account, type Export, type Import } from '@nats-io/jwt';
import { Prefix } from '@nats-io/nkeys';

import { claimsOf, Nkey } from './nkey.ts';

/** An account's keys. The identity key signs nothing but the account itself; users are signed by the signing key. */
export interface AccountKeys {
  readonly publicKey: string;
  readonly seed: string;
  readonly signingSeed: string;
  readonly jwt: string;
}

/** Everything that makes identities, as plain JSON. Whoever holds it can be anybody: it stays with the deployer. */
export interface OperatorBundle {
  readonly operatorJwt: string;
  readonly operatorSeed: string;
  readonly accounts: {
    readonly system: AccountKeys;
    /** The streams and the services. */
    readonly core: AccountKeys;
    /** Everyone else. */
    readonly platforms: AccountKeys;
  };
}

const unlimited = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
  disallow_bearer: true,
};
const unlimitedJetStream = {
  mem_storage: -1,
  disk_storage: -1,
  streams: -1,
  consumer: -1,
  mem_max_stream_bytes: -1,
  disk_max_stream_bytes: -1,
  max_ack_pending: -1,
};

/**
 * Makes an operator with its three accounts.
 *
 * `CORE` holds the streams and the services, `PLATFORMS` everyone else, importing only what `accountExports` lists.
 * Two accounts, because inside one a client may name any subject as its reply, and the server then publishes its
 * acknowledgement there; across an import it cannot (DESIGN §4).
 */
export async function createOperator(): Promise<OperatorBundle> {
  const operator = Nkey.create(Prefix.Operator);
  const [system, core, platforms] = [newAccount(), newAccount(), newAccount()];
  const systemAccount = system.key.getPublicKey();
  const operatorJwt = await encodeOperator('postern', operator, { system_account: systemAccount });
  const corePublicKey = core.key.getPublicKey();
  return {
    operatorJwt,
    operatorSeed: operator.seed,
    accounts: {
      system: await signAccount('SYS', system, operator, { limits: unlimited }),
      core: await signAccount('CORE', core, operator, {
        limits: { ...unlimited, ...unlimitedJetStream },
        exports: coreExports(),
      }),
      platforms: await signAccount('PLATFORMS', platforms, operator, {
        limits: unlimited,
        imports: platformImports(corePublicKey),
      }),
    },
  };
}

export interface RevokeOptions {
  readonly nowMs: number;
  /** No user lives longer: a revocation that is older is of one that ended by itself, and is forgotten. */
  readonly userTtlMsMax: number;
}

/**
 * Ends users of platforms: signs their account anew, with each of them revoked from now on.
 *
 * It takes effect when a server is told ({@link updateAccount}) or starts with it.
 *
 * @param users public keys; ending one twice is ending it once.
 */
export async function revokePlatformUsers(
  bundle: OperatorBundle,
  users: readonly string[],
  { nowMs, userTtlMsMax }: RevokeOptions,
): Promise<OperatorBundle> {
  const { platforms } = bundle.accounts;
  const { name, nats: claims, iat } = accountOf(platforms);
  await laterThan(iat);
  const oldest = Math.floor((nowMs - userTtlMsMax) / 1_000);
  const kept = Object.entries(claims.revocations ?? {}).filter(([, sinceS]) => sinceS >= oldest);
  const added = users.map((user) => [user, Math.ceil(nowMs / 1_000)] as const);
  const jwt = await encodeAccount(
    name,
    Nkey.fromSeed(platforms.seed),
    { ...claims, revocations: Object.fromEntries([...kept, ...added]) },
    { signer: Nkey.fromSeed(bundle.operatorSeed) },
  );
  return { ...bundle, accounts: { ...bundle.accounts, platforms: { ...platforms, jwt } } };
}

/**
 * Lets cross between the accounts what this release wants to cross, in a bundle that an older one made: keys stay, and who
 * was revoked stays revoked.
 *
 * @returns the bundle itself when nothing differs. It takes effect as with {@link revokePlatformUsers}.
 */
export async function withCurrentCrossings(bundle: OperatorBundle): Promise<OperatorBundle> {
  const { core, platforms } = bundle.accounts;
  const signer = Nkey.fromSeed(bundle.operatorSeed);
  const renewed = async (account: AccountKeys, crossing: Pick<Partial<Account>, 'exports' | 'imports'>) => {
    const { name, nats: claims } = accountOf(account);
    const wanted = { ...claims, ...crossing };
    if (subjectsOf(claims) === subjectsOf(wanted)) return account;
    return { ...account, jwt: await encodeAccount(name, Nkey.fromSeed(account.seed), wanted, { signer }) };
  };
  const [newCore, newPlatforms] = [
    await renewed(core, { exports: coreExports() }),
    await renewed(platforms, { imports: platformImports(core.publicKey) }),
  ];
  if (newCore === core && newPlatforms === platforms) return bundle;
  return { ...bundle, accounts: { ...bundle.accounts, core: newCore, platforms: newPlatforms } };
}

function subjectsOf({ exports = [], imports = [] }: Pick<Partial<Account>, 'exports' | 'imports'>): string {
  const named = [...exports, ...imports].map(({ type, subject }) => `${String(type)} ${subject}`);
  return named.toSorted().join('\n');
}

/** Of two JWTs of an account a server that starts keeps the one issued later, by the second. */
async function laterThan(issuedAtS: number): Promise<void> {
  const waitMs = (issuedAtS + 1) * 1_000 - Date.now();
  if (waitMs > 0) await delay(Math.min(waitMs, 1_000));
}

const accountOf = ({ jwt }: AccountKeys) => claimsOf<{ name: string; nats: Account }>(jwt);

interface NewAccount {
  readonly key: Nkey;
  readonly signingKey: Nkey;
}

function newAccount(): NewAccount {
  return { key: Nkey.create(Prefix.Account), signingKey: Nkey.create(Prefix.Account) };
}

async function signAccount(
  name: string,
  { key, signingKey }: NewAccount,
  operator: Nkey,
  claims: Partial<Account>,
): Promise<AccountKeys> {
  const signed = { ...claims, signing_keys: [signingKey.getPublicKey()] };
  const jwt = await encodeAccount(name, key, signed, { signer: operator });
  return { publicKey: key.getPublicKey(), seed: key.seed, signingSeed: signingKey.seed, jwt };
}

function coreExports(): Export[] {
  const services = accountExports.services.map((subject): Export => ({
    name: subject,
    subject,
    type: 'service',
    response_type: 'Singleton',
  }));
  return [
    ...services,
    ...accountExports.streams.map((subject): Export => ({ name: subject, subject, type: 'stream' })),
  ];
}

function platformImports(account: string): Import[] {
  const services = accountExports.services.map((subject): Import => ({
    name: subject,
    subject,
    account,
    type: 'service',
    local_subject: subject,
  }));
  const notices = accountExports.streams.map((subject): Import => ({
    name: subject,
    subject,
    account,
    type: 'stream',
    local_subject: subject,
  }));
  return [...services, ...notices];
}

/** What nats-server needs to know of the operator; it holds no secret. */
export interface ServerOperatorConfig {
  readonly operatorJwt: string;
  /** Public key. */
  readonly systemAccount: string;
  /** Account public key to account JWT. */
  readonly preload: Readonly<Record<string, string>>;
}

/** The part of nats-server's configuration that puts it into operator mode. */
export function serverOperatorConfig({ operatorJwt, accounts }: OperatorBundle): ServerOperatorConfig {
  const preload = Object.fromEntries(Object.values(accounts).map(({ publicKey, jwt }) => [publicKey, jwt]));
  return { operatorJwt, systemAccount: accounts.system.publicKey, preload };
}
