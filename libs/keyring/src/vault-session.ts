import { isPosternError, PosternError } from '@postern/contracts';
import { framed, Secret, sha256Hex } from '@postern/crypto';
import { readPrivateFile } from './private-file.ts';
import { transitLimits } from './transit-limits.ts';
import {
  isDone,
  keyServiceUnavailable,
  VaultClient,
  wordsOf,
  type NodeVault,
  type VaultAnswer,
  type VaultCall,
  type VaultPlace,
} from './vault-client.ts';

/** Where Vault is, and the AppRole one is there. The files hold the ids alone, mode 0600. */
export interface VaultAccess extends VaultPlace {
  readonly roleIdFile: string;
  /** Read anew at each login, so that an expired secret id is healed by replacing the file. */
  readonly secretIdFile: string;
  /** Where transit is mounted; `transit` when absent. */
  readonly mount?: string | undefined;
  /** Where AppRole is mounted; `approle` when absent. */
  readonly authMount?: string | undefined;
}

interface Token {
  readonly value: Secret;
  /** Of the first grant: a renewal that gives much less says that the token's last time has come. */
  readonly fullMs: number;
  /** By the monotonic clock of this process; a clock that stood still is corrected by Vault's own refusal. */
  readonly renewAtMs: number;
  readonly endsAtMs: number;
}

interface Login {
  readonly roleId: Secret;
  readonly secretId: Secret;
  readonly fingerprint: string;
}

const sealed = 503;
const forbidden = 403;
/** What a token may ask about itself, and what it lives on. */
export const lookupSelf = 'auth/token/lookup-self';
const serverErrorMin = 500;
const tooMany = 429;
/** Shorter than this part of its first time, a renewed token is near the end that its role sets. */
const worthRenewingPart = 0.5;

/**
 * One AppRole's session with Vault: logs in, renews its token before it ends, logs in again where renewing does not
 * help any more, all of it one at a time however many ask.
 *
 * Nothing has to be reachable when it is made, and nothing that was lost needs a new one.
 */
export class VaultSession {
  readonly #access: VaultAccess;
  readonly #client: VaultClient;
  #token: Token | undefined;
  #acquiring: Promise<Token> | undefined;
  #refused: { readonly fingerprint: string; readonly untilMs: number; readonly error: PosternError } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(access: VaultAccess, nodeVault: NodeVault) {
    this.#access = access;
    this.#client = new VaultClient(access, nodeVault);
  }

  /** @throws {PosternError} `config.invalid` for a URL without TLS, and for files that are missing or open to others. */
  static async open(access: VaultAccess): Promise<VaultSession> {
    const { default: nodeVault } = await import('node-vault');
    const session = new VaultSession(access, nodeVault);
    await session.#readLogin();
    session.#lookAgainIn(0);
    return session;
  }

  /**
   * Asks Vault as this role; a token that Vault does not know any more is replaced once.
   *
   * @throws {PosternError} `vault.key_service_unavailable` when Vault cannot be asked or does not let this role ask;
   *   every other refusal is an answer.
   */
  async call(call: VaultCall): Promise<VaultAnswer> {
    const token = await this.#validToken();
    const first = await this.#client.call({ ...call, token: token.value });
    if (first.status !== forbidden) return answered(first);
    // A token that is alive is not replaced for what its policy forbids.
    if (isDone(await this.#client.call({ method: 'GET', path: lookupSelf, token: token.value })))
      throw forbiddenBy(first);
    if (this.#token === token) this.#token = undefined;
    const second = await this.#client.call({ ...call, token: (await this.#validToken()).value });
    if (second.status !== forbidden) return answered(second);
    throw forbiddenBy(second);
  }

  /** Ends the token, as far as Vault can be told, and the connections. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#acquiring?.catch(() => undefined);
    const token = this.#token;
    this.#token = undefined;
    if (token && token.endsAtMs > performance.now()) {
      const call = { method: 'POST', path: 'auth/token/revoke-self', token: token.value } as const;
      await this.#client.call(call).catch(() => undefined);
    }
    this.#client.close();
  }

  assertOpen(): void {
    if (this.#closed) throw keyServiceUnavailable('The key service was closed');
  }

  async #validToken(): Promise<Token> {
    this.assertOpen();
    const token = this.#token;
    if (token && token.endsAtMs > performance.now()) return token;
    return await this.#acquire();
  }

  #acquire(): Promise<Token> {
    this.#acquiring ??= this.#renewOrLogIn().finally(() => {
      this.#acquiring = undefined;
    });
    return this.#acquiring;
  }

  async #renewOrLogIn(): Promise<Token> {
    const renewed = await this.#renewed();
    // Also one near its end is the better one while a login fails.
    if (renewed) this.#token = renewed;
    const isLong = renewed && renewed.endsAtMs - performance.now() > worthRenewingPart * renewed.fullMs;
    const token = isLong ? renewed : await this.#loggedIn();
    this.#token = token;
    this.#lookAgainIn(token.renewAtMs - performance.now());
    return token;
  }

  /** @returns undefined where there is nothing to renew, or Vault does not. */
  async #renewed(): Promise<Token | undefined> {
    const before = this.#token;
    if (!before || before.endsAtMs <= performance.now()) return undefined;
    const path = 'auth/token/renew-self';
    const answer = answered(await this.#client.call({ method: 'POST', path, body: {}, token: before.value }));
    return isDone(answer) ? tokenIn(answer, before.fullMs) : undefined;
  }

  async #loggedIn(): Promise<Token> {
    const login = await this.#readLogin().catch((error: unknown) => {
      throw isPosternError(error) ? keyServiceUnavailable(error.message) : error;
    });
    const refused = this.#refused;
    if (refused?.fingerprint === login.fingerprint && refused.untilMs > performance.now()) throw refused.error;
    const body = { role_id: login.roleId.reveal(), secret_id: login.secretId.reveal() };
    const path = `auth/${this.#access.authMount ?? 'approle'}/login`;
    // A secret id may be good for one login.
    const answer = answered(await this.#client.call({ method: 'POST', path, body, once: true }));
    const token = isDone(answer) ? tokenIn(answer) : undefined;
    if (token) return token;
    const error = keyServiceUnavailable(
      `Vault refuses the login of this AppRole (${wordsOf(answer)}): its secret id is wrong, expired or used up. ` +
        `Put a new one into ${this.#access.secretIdFile}; it is read without a restart`,
    );
    const untilMs = performance.now() + transitLimits.refusedLoginRetryMs;
    this.#refused = { fingerprint: login.fingerprint, untilMs, error };
    throw error;
  }

  async #readLogin(): Promise<Login> {
    const { roleIdFile, secretIdFile } = this.#access;
    const read = async (path: string) => (await readPrivateFile(path, transitLimits.credentialBytesMax)).trim();
    const [roleId, secretId] = [await read(roleIdFile), await read(secretIdFile)];
    if (roleId === '' || secretId === '') {
      throw new PosternError('config.invalid', `${roleId === '' ? roleIdFile : secretIdFile} is empty.`);
    }
    const fingerprint = sha256Hex(framed('postern approle v1', roleId, secretId));
    return { roleId: Secret.from(roleId), secretId: Secret.from(secretId), fingerprint };
  }

  /** Keeps the token young while nobody asks, and the reason fresh while it cannot be had. */
  #lookAgainIn(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const look = () =>
      void this.#acquire().catch(() => {
        this.#lookAgainIn(transitLimits.renewRetryMs);
      });
    this.#timer = setTimeout(look, Math.min(ms, transitLimits.renewIntervalMsMax)).unref();
  }
}

/** An answer that is one: what says that Vault cannot work now is none. */
function answered(answer: VaultAnswer): VaultAnswer {
  const { status } = answer;
  if (status < serverErrorMin && status !== tooMany) return answer;
  if (status === sealed)
    throw keyServiceUnavailable(`Vault is sealed or in maintenance (${wordsOf(answer)}); unseal it`);
  throw keyServiceUnavailable(`Vault cannot work now (status ${status}: ${wordsOf(answer)})`);
}

function forbiddenBy(answer: VaultAnswer): PosternError {
  return keyServiceUnavailable(`Vault does not let this role do what it is asked (${wordsOf(answer)}); see its policy`);
}

function tokenIn({ body }: VaultAnswer, fullMs?: number): Token | undefined {
  const { auth } = body as { auth?: { client_token?: unknown; lease_duration?: unknown } };
  const { client_token: value, lease_duration: lifeS } = auth ?? {};
  if (typeof value !== 'string' || typeof lifeS !== 'number') return undefined;
  const nowMs = performance.now();
  const lifeMs = lifeS === 0 ? transitLimits.renewIntervalMsMax : lifeS * 1_000;
  return {
    value: Secret.from(value),
    fullMs: fullMs ?? lifeMs,
    renewAtMs: nowMs + transitLimits.renewAtPart * lifeMs,
    endsAtMs: nowMs + lifeMs,
  };
}
