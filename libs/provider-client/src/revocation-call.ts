import { PosternError } from '@postern/contracts';
import type { Secret } from '@postern/crypto';
import { saysDone, saysGone, textAt, type ProviderRevocation, type RevocationCall } from '@postern/provider-catalog';

import type { ClientCredential } from './client-authentication.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { ProviderCallError } from './provider-call-error.ts';

interface CallingRevocation {
  readonly call: RevocationCall;
  readonly revocation: ProviderRevocation;
  readonly clientId: string;
  /** Null where the access token alone authenticates. */
  readonly credential: ClientCredential | null;
  readonly accessToken: Secret;
  readonly fetch: GuardedFetch;
}

/**
 * Tells a provider by the endpoint of its own that an authorization is over.
 *
 * @returns null when that is done or was so already; otherwise the answer, to be weighed as a refusal.
 * @throws {ProviderCallError} when there is no answer that could be used.
 * @internal
 */
export async function callRevocation(calling: CallingRevocation): Promise<Response | null> {
  const { call, revocation, clientId, accessToken, fetch } = calling;
  let found = '';
  if (call.find !== null) {
    const answer = await read(await fetch(call.find.url, { method: 'GET', headers: headersOf(calling, true) }));
    if (saysGone(revocation, answer)) return null;
    if (answer.httpStatus !== 200) return answer.response;
    const text = textAt(answer.body, call.find.member);
    if (text === undefined) throw new ProviderCallError('invalid_answer', { httpStatus: 200 });
    found = text;
  }
  const values: Readonly<Record<string, string>> = { client_id: clientId, access_token: accessToken.reveal(), found };
  const filled = (template: string, form: (value: string) => string = String) =>
    template.replace(/\{(client_id|access_token|found)\}/g, (_all, name: string) => form(values[name] ?? ''));
  const answer = await read(
    await fetch(filled(call.url, encodeURIComponent), {
      method: call.method,
      ...bodyOf(call, filled, headersOf(calling, call.authentication === 'access_token')),
    }),
  );
  const isOver = saysDone(call, answer) || saysGone(revocation, answer);
  return isOver ? null : answer.response;
}

async function read(response: Response): Promise<{ response: Response; httpStatus: number; body: unknown }> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined);
  return { response, httpStatus: response.status, body };
}

function bodyOf(
  { body }: RevocationCall,
  filled: (template: string) => string,
  headers: Record<string, string>,
): { headers: Record<string, string>; body?: URLSearchParams | string } {
  if (body === null) return { headers };
  const members = Object.fromEntries(Object.entries(body.members).map(([name, text]) => [name, filled(text)]));
  if (body.format === 'form') return { headers, body: new URLSearchParams(members) };
  return { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(members) };
}

function headersOf({ call, clientId, credential, accessToken }: CallingRevocation, byToken: boolean) {
  const authorization = byToken
    ? `Bearer ${accessToken.reveal()}`
    : clientAuthorization(call, { clientId, credential });
  return { accept: 'application/json', 'user-agent': 'postern', ...call.headers, authorization };
}

function clientAuthorization(
  { authentication }: RevocationCall,
  { clientId, credential }: Pick<CallingRevocation, 'clientId' | 'credential'>,
): string {
  if (credential === null || !('clientSecret' in credential)) {
    throw new PosternError('provider.client_rejected', 'The client registration has no client secret.');
  }
  const secret = credential.clientSecret.reveal();
  if (authentication === 'client_secret') return `Bearer ${secret}`;
  return `Basic ${Buffer.from(`${clientId}:${secret}`, 'utf8').toString('base64')}`;
}
