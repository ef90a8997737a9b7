import { PosternError } from '@postern/contracts';
import { constantTimeEqual } from '@postern/crypto';
import { AuthorizationResponseError, validateAuthResponse, type AuthorizationServer, type Client } from 'oauth4webapi';

import { wordOf } from './provider-words.ts';

/** What came back to the redirect URI, once it is known to answer our own request. */
export type Callback =
  | { readonly kind: 'code'; readonly parameters: URLSearchParams }
  | { readonly kind: 'denied'; readonly error: string; readonly errorDescription: string | null };

/** What of a response is read; everything else is ignored. */
const readParameters = ['state', 'iss', 'code', 'error', 'error_description'];

interface CallbackInput {
  readonly server: AuthorizationServer;
  readonly client: Client;
  readonly parameters: URLSearchParams;
  readonly expectedState: string;
}

/**
 * Reads an authorization response: state, issuer (RFC 9207), then error or code.
 *
 * @throws {PosternError} `session.state_mismatch`, `session.issuer_mismatch`, or `request.malformed` for an answer
 *   with neither code nor error, with a parameter twice, or with a token in it.
 * @source RFC 6749 §4.1.2, RFC 9207 §2.4
 */
export function readCallback({ server, client, parameters, expectedState }: CallbackInput): Callback {
  // Which of two counts would be a matter of who reads it. @source RFC 6749 §3.1
  const twice = readParameters.find((name) => parameters.getAll(name).length > 1);
  if (twice !== undefined) throw malformed(`has ${twice} twice`);
  if (!constantTimeEqual(parameters.get('state') ?? '', expectedState)) {
    throw new PosternError('session.state_mismatch', 'The state is not the one this session sent.');
  }
  if (parameters.get('iss') === '') throw issuerMismatch();
  try {
    const validated = validateAuthResponse(server, client, parameters, expectedState);
    if (!validated.get('code')) throw malformed('has neither code nor error');
    return { kind: 'code', parameters: validated };
  } catch (error) {
    if (error instanceof AuthorizationResponseError) {
      return {
        kind: 'denied',
        error: wordOf(error.error) ?? 'unnamed_error',
        errorDescription: wordOf(error.error_description),
      };
    }
    throw translated(error, server, parameters);
  }
}

function translated(error: unknown, server: AuthorizationServer, parameters: URLSearchParams): PosternError {
  if (error instanceof PosternError) return error;
  const issuer = parameters.get('iss');
  const missing = issuer === null && server.authorization_response_iss_parameter_supported === true;
  if (missing || (issuer !== null && issuer !== server.issuer)) {
    return issuerMismatch();
  }
  return malformed('is not an authorization code response');
}

function issuerMismatch(): PosternError {
  return new PosternError('session.issuer_mismatch', 'The iss parameter does not name the expected issuer.');
}

function malformed(what: string): PosternError {
  return new PosternError('request.malformed', `The provider's answer ${what}.`);
}
