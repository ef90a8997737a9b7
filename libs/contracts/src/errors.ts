/** What a caller may do about an error: nothing, try again after a while, or read the state again and decide anew. */
export type RetryAdvice = 'never' | 'later' | 'reread';

/** What happens to the JetStream message whose handling ended in this error. */
export type Delivery = 'ack' | 'nak' | 'term';

/** One row of the error table; everything an edge needs to answer follows from it. */
export interface ErrorRow {
  readonly status: number;
  readonly title: string;
  readonly advice: string;
  readonly retry: RetryAdvice;
  readonly delivery: Delivery;
  /** May the message be shown to a caller outside? Otherwise only the title is. */
  readonly exposed: boolean;
  /** The `error` of RFC 6749 §5.2, where an OAuth endpoint answers with it. */
  readonly oauthError?: string;
}

type RowInput = Partial<Omit<ErrorRow, 'status' | 'title' | 'advice'>>;

function row(status: number, title: string, advice: string, more: RowInput = {}): ErrorRow {
  return Object.freeze({
    status,
    title,
    advice,
    retry: 'never',
    delivery: 'term',
    exposed: true,
    ...more,
  });
}

const later: RowInput = { retry: 'later', delivery: 'nak' };
const reread: RowInput = { retry: 'reread', delivery: 'nak' };
const hidden: RowInput = { exposed: false };

/**
 * Every error Postern can answer with: one closed table, so that the HTTP status, the problem type, the OAuth
 * `error`, the retry advice and the fate of a message are decided once.
 *
 * Codes are for ever: they may be added, never renamed. The advice says what the reader should do next.
 */
export const errorTable = Object.freeze({
  'request.malformed': row(400, 'The request is malformed', 'Correct the fields named in the detail.', {
    oauthError: 'invalid_request',
  }),
  'request.too_large': row(413, 'The request is too large', 'Send less; the detail names the limit in bytes.', {
    oauthError: 'invalid_request',
  }),
  'request.too_slow': row(408, 'The body came too slowly', 'Send it again, in one go.', later),
  'request.unsupported_media_type': row(
    415,
    'The content type is not supported',
    'Send the content type named in the detail.',
  ),
  'request.not_found': row(404, 'There is nothing here', 'Look at /openapi.json for the paths that exist.'),
  'request.rate_limited': row(429, 'Too many requests', 'Wait for the seconds in Retry-After.', later),

  'auth.token_missing': row(
    401,
    'A Postern access token is required',
    'Get one at POST /oauth/token and send it as a Bearer token.',
    { oauthError: 'invalid_token' },
  ),
  'auth.token_invalid': row(401, 'The Postern access token is not valid', 'Get a new one at POST /oauth/token.', {
    oauthError: 'invalid_token',
  }),
  'auth.client_invalid': row(
    401,
    'The client credentials are not valid',
    'Check client_id and client_secret; an administrator can rotate the secret.',
    { oauthError: 'invalid_client' },
  ),
  'auth.grant_type_unsupported': row(400, 'The grant type is not supported', 'Use grant_type=client_credentials.', {
    oauthError: 'unsupported_grant_type',
  }),
  'auth.forbidden': row(403, 'This identity may not do that', 'Ask an administrator which identity may.'),

  'tenant.not_found': row(404, 'There is no such tenant', 'Check the tenant id.'),
  'tenant.exists': row(409, 'The tenant exists already', 'Use the existing one.', {
    retry: 'reread',
  }),
  'tenant.disabled': row(403, 'The tenant is disabled', 'Ask the operator.'),
  'platform.not_found': row(404, 'There is no such platform', 'Check the platform id.'),
  'platform.exists': row(409, 'The platform exists already', 'Use the existing one.', {
    retry: 'reread',
  }),
  'platform.disabled': row(403, 'The platform is disabled', 'Ask an administrator to create a new one.'),
  'agent.not_found': row(404, 'There is no such agent of this platform', 'Create it with: postern agents create.'),
  'agent.exists': row(409, 'The agent exists already', 'Use the existing one.', {
    retry: 'reread',
  }),
  'agent.disabled': row(403, 'The agent is disabled', 'Ask an administrator to create a new one.'),
  'administrator.not_found': row(404, 'There is no such administrator', 'Check the administrator id.'),
  'administrator.exists': row(409, 'The administrator exists already', 'Use the existing one.', {
    retry: 'reread',
  }),
  'administrator.disabled': row(403, 'The administrator is disabled', 'Ask another administrator.'),
  'administrator.signature_required': row(
    403,
    'An administrator must sign this',
    'Name the file of your own key with --as; one is made with: postern admin key FILE.',
  ),
  'administrator.signature_invalid': row(
    403,
    'The signature is not that administrator’s',
    'See whose keys count with: postern admin list. A decision that is on the log already was forged: postern audit verify.',
  ),
  'administrator.last': row(
    409,
    'Too few administrators would be left',
    'Add another one first, or end the need for approvals: postern admin policy --approvals none.',
  ),
  'governance.too_few': row(409, 'There is no second administrator', 'Add one first: postern admin add NAME.'),
  'governance.changed': row(
    409,
    'Something else was decided meanwhile',
    'Look at what is asked for now, and sign again.',
    { retry: 'reread' },
  ),
  'approval.pending': row(
    409,
    'Another request waits for an answer',
    'A second administrator decides it with: postern providers approve|deny ID.',
  ),
  'approval.nothing_open': row(404, 'There is nothing to decide', 'Ask with: postern providers request ID.'),
  'approval.own_request': row(
    403,
    'Who asks cannot approve',
    'Another administrator of the tenant must look at it: postern providers review ID.',
  ),
  'approval.required': row(
    403,
    'The tenant may not use this at the provider',
    'Ask with: postern providers request ID --scope SCOPE; a second administrator approves it.',
  ),
  'connection.high_risk': row(
    409,
    'What is of high risk is not added to this connection',
    'Begin a connection of its own for it, or set the policy: postern admin policy --high-risk any.',
  ),
  'registration.not_found': row(
    404,
    'There is no such client registration',
    'List them with: postern registrations list.',
  ),
  'registration.exists': row(409, 'The client registration exists already', 'Use the existing one.', {
    retry: 'reread',
  }),
  'registration.disabled': row(403, 'The client registration is disabled', 'Ask an administrator.'),
  'registration.secret_in_use': row(
    409,
    'The secret is the one in use',
    'Store another one first, or disable the registration.',
  ),
  'registration.issuer_changed': row(
    409,
    'The server takes the tokens of another authorization server',
    'Make a new registration of the server and disable this one; its users connect again.',
  ),
  'registration.client_id_needed': row(
    400,
    'The authorization server takes new clients by hand alone',
    'Register Postern there with the redirect URI of: postern registrations reserve; then give --id and --client-id.',
  ),
  'registration.insecure_endpoint': row(
    400,
    'The provider would be reached without TLS',
    'Use an https issuer; plain http is for loopback only.',
  ),

  'session.not_found': row(404, 'There is no such connect session', 'Start a new one with POST /v1/connect/sessions.'),
  'session.expired': row(410, 'The connect session has expired', 'Start a new one with POST /v1/connect/sessions.'),
  'session.superseded': row(409, 'A newer connect session took its place', 'Go on with the newest session.'),
  'session.state_mismatch': row(
    400,
    'The answer does not belong to this browser',
    'Start again from the connect_url in one browser.',
  ),
  'session.already_used': row(
    409,
    'The connect session was used already',
    'Start a new one with POST /v1/connect/sessions.',
  ),
  'session.issuer_mismatch': row(
    400,
    'The answer came from another authorization server',
    'Start again; if it happens twice, tell the operator.',
  ),
  'session.return_url_unknown': row(
    400,
    'The return_url is not registered for this platform',
    'Register it with: postern platforms create --return-url.',
  ),
  'session.code_invalid': row(
    400,
    'The completion code is not valid for this session',
    'Use the code from the query of the return_url, once.',
  ),
  'session.end_user_mismatch': row(
    403,
    'The session was begun for another end user',
    'Complete it only for the user who began it.',
  ),
  'session.denied': row(
    409,
    'The provider did not authorize the connection',
    'Ask the end user to connect again and to consent.',
  ),
  'session.scope_unknown': row(
    400,
    'A scope is not offered by this client registration',
    'Ask only for scopes of the registration.',
  ),

  'connection.not_found': row(404, 'There is no such connection', 'Check the connection id.'),
  'connection.not_authorized': row(409, 'The connection was never authorized', 'Finish its connect session first.'),
  'connection.reauthorization_required': row(
    409,
    'The end user must authorize again',
    'Send the end user to reauthorize_url.',
  ),
  'connection.revoked': row(409, 'The connection was revoked', 'Ask the end user to authorize again.'),
  'connection.unattended': row(
    409,
    'No end user stands behind the connection',
    'Establish it anew, in place: POST /v1/connections with its connection_id.',
  ),
  'connection.delegation_ended': row(
    409,
    'What the connection is derived from cannot be used',
    'Mend the connection that ended_by names; the derived one then goes on as it was.',
  ),
  'connection.delegation_refused': row(
    409,
    'A token for this cannot be had from those connections',
    'Name a subject and an actor that fit; the detail says what does not.',
  ),
  'connection.establish_key_used': row(
    409,
    'The idempotency key stands for another connection',
    'Use a key of its own for each connection.',
  ),
  'connection.import_refused': row(
    409,
    'The import is not in order, and nothing was imported',
    'Correct the rows named in the detail, and send all of them again.',
  ),
  'connection.siblings_would_end': row(
    409,
    'The provider would end other connections, too',
    'Send cascade: true to end them all.',
  ),
  'connection.suspended': row(409, 'The connection is suspended', 'Resume it first.'),
  'connection.deleted': row(410, 'The connection was deleted', 'Connect the account anew.'),
  'connection.key_in_use': row(
    409,
    'The key of the connection is still needed',
    'Delete the connection; its key goes when the provider was told.',
    { ...reread, ...hidden },
  ),
  'connection.moved': row(409, 'The connection goes on in a later epoch of the log', 'Read the connection again.', {
    ...reread,
    ...hidden,
  }),

  'lease.scope_missing': row(
    403,
    'A scope is missing',
    'Re-authorize the connection with the scopes in missing_scopes.',
  ),
  'lease.sender_constrained': row(
    409,
    'The token is bound to a key that only Postern has',
    'Without the key it is of no use: connect through a client registration whose tokens are not bound (DPoP, mTLS).',
  ),
  'lease.ttl_unavailable': row(503, 'No token lives that long', 'Ask for a smaller min_ttl_s.', later),
  'lease.recipient_key_invalid': row(
    400,
    'The recipient key is not a usable X25519 public key',
    'Send a fresh JWK with kty OKP and crv X25519.',
  ),

  'refresh.unavailable': row(
    503,
    'The token has expired and cannot be refreshed right now',
    'Try again after Retry-After.',
    later,
  ),
  'refresh.timeout': row(504, 'The refresh did not end in time', 'Try again; the refresh goes on.', later),
  'refresh.not_possible': row(
    409,
    'The connection has no refresh token',
    'Ask the end user to authorize again when the token ends.',
  ),
  'refresh.claim_lost': row(409, 'The claim is not live', 'Read the connection again.', {
    ...reread,
    ...hidden,
  }),
  'refresh.not_released': row(409, 'Nothing was released for this claim', 'Read the connection again.', {
    ...reread,
    ...hidden,
  }),

  'provider.unreachable': row(502, 'The provider cannot be reached', 'Try again later.', later),
  'provider.answer_invalid': row(
    502,
    'The provider answered in a way OAuth does not allow',
    'Tell the operator; the detail has the reason.',
    later,
  ),
  'provider.rejected': row(502, 'The provider refused', 'The detail has its words.'),
  'provider.client_rejected': row(
    502,
    'The provider refused our client credentials',
    'The operator must correct the client registration.',
  ),
  'provider.not_found': row(404, 'There is no such provider in the catalog', 'List them with: postern providers list.'),
  'provider.flow_unsupported': row(
    501,
    'Postern cannot get tokens in this way yet',
    'Use another provider file of the same service; show them with: postern providers list.',
  ),
  'provider.feature_unsupported': row(
    409,
    'The provider does not have what the client registration asks for',
    'The detail names it; register without it, or correct the provider’s file.',
  ),
  'provider.capability_unknown': row(
    400,
    'No scope is known for this capability',
    'See what the scopes allow with: postern providers scopes ID.',
  ),
  'provider.version_unknown': row(
    404,
    'The catalog has no such version of the provider',
    'See which there are with: postern providers versions ID.',
  ),
  'rollout.version_in_use': row(
    409,
    'The version is the one in use',
    'Name another version, or what the others are to use meanwhile with --otherwise.',
  ),
  'rollout.nothing_to_roll_back': row(
    409,
    'There is nothing to roll back',
    'See what was decided with: postern providers versions ID.',
  ),
  'provider.invalid': row(400, 'The provider file is not valid', 'Correct the fields named in the detail.'),

  'transmitter.not_found': row(404, 'There is no such transmitter', 'List them with: postern transmitters list.'),
  'transmitter.exists': row(409, 'The transmitter exists already', 'Use the existing one.', { retry: 'reread' }),
  'transmitter.disabled': row(403, 'The transmitter is disabled', 'Create another one.'),
  'transmitter.not_asked': row(
    502,
    'The transmitter took no request for a verification',
    'The detail has the reason; compare --endpoint, --stream-id and --token-of with what it printed for the stream.',
  ),

  'bridge.not_found': row(404, 'There is no such bridge', 'List them with: postern bridges list.'),
  'bridge.exists': row(409, 'The bridge exists already', 'Use the existing one.', { retry: 'reread' }),
  'bridge.disabled': row(403, 'The bridge is disabled', 'Create another one.'),

  'webhook.not_found': row(404, 'There is no such webhook', 'List them with: postern webhooks list.'),
  'webhook.exists': row(409, 'The webhook exists already', 'Use the existing one.', { retry: 'reread' }),
  'webhook.disabled': row(403, 'The webhook is disabled', 'Create another one.'),
  'webhook.no_secret': row(409, 'The webhook has no secret yet', 'Store one with: postern webhooks rotate.'),
  'webhook.delivery_not_found': row(404, 'There is no such delivery', 'List them with: postern webhooks deliveries.'),
  'webhook.log_unavailable': row(
    503,
    'The log of deliveries cannot be reached',
    'Try again; if it stays so, look at the database of notifier.',
    later,
  ),

  'signal.not_allowed': row(
    403,
    'The bridge may not say that',
    'Compare the registration and tenant of the signal with those of the bridge.',
  ),
  'signal.not_verified': row(
    401,
    'The delivery is not verified',
    'Compare the URL and the webhook secret with those of the client registration.',
  ),
  'signal.keys_unavailable': row(
    503,
    'The keys of the transmitter cannot be had',
    'Send it again after Retry-After; if it stays so, compare the JWKS URL of the transmitter.',
    later,
  ),
  'signal.index_unavailable': row(
    503,
    'The index of accounts cannot be reached',
    'Signals wait until it can; try again after Retry-After.',
    later,
  ),

  'audit.database_unavailable': row(
    503,
    'The read models cannot be reached',
    'Read models catch up by themselves once their database answers; try again after Retry-After.',
    later,
  ),
  'audit.past_not_here': row(
    409,
    'What stood then was dropped from the log, and no archive that this service knows holds it',
    'Name the folder with the archives to audit (POSTERN_ARCHIVE_DIR), or ask about a later moment.',
  ),
  'audit.log_replaced': row(
    409,
    'The log is not the one that the read model was made of',
    'Find out who replaced it (postern audit verify), then rebuild: postern projections rebuild NAME.',
  ),
  'audit.projection_superseded': row(
    409,
    'Somebody else has gone on with this read model',
    'Look at postern projections list, and try again.',
    reread,
  ),

  'vault.ciphertext_invalid': row(
    500,
    'A stored credential did not open',
    'Tell the operator: the row does not belong where it stands.',
    hidden,
  ),
  'vault.credential_missing': row(500, 'The credential is not in the vault', 'Tell the operator.', hidden),
  'vault.version_stale': row(409, 'The credential version is not current', 'Read the connection again.', {
    ...reread,
    ...hidden,
  }),
  'vault.key_version_in_use': row(
    409,
    'That version of the tenant’s key is still in use',
    'Run: postern keys rotate.',
    { ...reread, ...hidden },
  ),
  'vault.key_service_unavailable': row(503, 'The key service cannot be reached', 'Try again after Retry-After.', later),
  'vault.database_unavailable': row(
    503,
    'The credential store cannot be reached',
    'Try again after Retry-After.',
    later,
  ),
  'vault.audit_unavailable': row(
    503,
    'The lease could not be recorded, so no token was given',
    'Try again after Retry-After.',
    later,
  ),
  'vault.feed_stale': row(
    503,
    'The vault cannot prove that it knows the newest state',
    'Try again after Retry-After.',
    later,
  ),

  'log.conflict': row(409, 'Something else was written first', 'Read again and decide anew.', {
    ...reread,
    ...hidden,
  }),
  'log.unavailable': row(503, 'The event log cannot be reached', 'Try again after Retry-After.', later),
  'log.outcome_unknown': row(503, 'It is not known whether the commit was stored', 'Resend the same commit.', {
    ...later,
    ...hidden,
  }),
  'log.message_damaged': row(500, 'A stored message cannot be read', 'Run: postern audit verify.', hidden),
  'log.message_foreign': row(
    500,
    'A stored message was not written by an app that may write it',
    'Run: postern audit verify.',
    hidden,
  ),
  'log.version_unknown': row(
    500,
    'An event is of a version this release does not know',
    'Upgrade this service.',
    hidden,
  ),
  'log.commit_too_large': row(413, 'The commit exceeds the size limit', 'Tell the operator.', hidden),
  'log.config_differs': row(
    500,
    'A stream is not configured as it must be',
    'Run the provisioner; the detail names the field.',
    hidden,
  ),

  'bus.unavailable': row(503, 'The message bus cannot be reached', 'Try again after Retry-After.', later),
  'bus.timeout': row(504, 'The service did not answer in time', 'Try again later.', later),
  'bus.reply_refused': row(400, 'The reply subject is not an inbox', 'Use a request of a NATS client library.'),

  'config.invalid': row(500, 'The configuration is not valid', 'Correct the variable named in the detail.', hidden),
  'servers.not_found': row(500, 'A server program was not found', 'Run: postern doctor.'),
  'servers.too_old': row(500, 'A server program is too old', 'Install the version named in the detail.'),
  'servers.start_failed': row(500, 'A server did not start', 'Read the log named in the detail.'),
  'servers.build_failed': row(500, 'A server could not be built', 'Read the build output in the detail.'),
  'service.not_ready': row(503, 'The service is not ready', 'Try again after Retry-After.', later),
  'service.internal': row(
    500,
    'Something went wrong on our side',
    'Try again later; tell the operator the correlation id.',
    { ...later, ...hidden },
  ),
});

/** A code of the closed table. */
export type ErrorCode = keyof typeof errorTable;

/** Facts that a caller is told beside code and message; each stands in the answer under its own name. */
export interface ErrorDetails {
  readonly reauthorize_url?: string;
  readonly missing_scopes?: readonly string[];
  readonly retry_after_s?: number;
  readonly fields?: readonly { readonly path: string; readonly reason: string }[];
  readonly freshness?: unknown;
  /** Connections of the caller's that would end, too. */
  readonly siblings?: readonly string[];
  /** The connection because of which a derived one cannot be used, and what that one's own lease would be refused with. */
  readonly ended_by?: { readonly connection_id: string; readonly code: ErrorCode };
}

export interface PosternErrorOptions {
  readonly cause?: unknown;
  readonly details?: ErrorDetails;
}

/**
 * The one error class. A broken rule is a coded error; an expected outcome is an event; a bug is anything else.
 *
 * Only `code`, `message` and `details` cross a service boundary; `cause` stays in the process.
 */
export class PosternError extends Error {
  override readonly name = 'PosternError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: PosternErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  get row(): ErrorRow {
    return errorTable[this.code];
  }
}

/** Is this one of ours? By shape, since an error may come from another copy of this library. */
export function isPosternError(error: unknown): error is PosternError {
  return error instanceof PosternError;
}

/** Turns anything thrown into a coded error; what is not ours becomes `service.internal` and keeps its cause. */
export function toPosternError(error: unknown): PosternError {
  if (isPosternError(error)) return error;
  return new PosternError('service.internal', 'An unexpected error was caught', { cause: error });
}

/** Is this text a code of the table? */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorTable, text);
}
