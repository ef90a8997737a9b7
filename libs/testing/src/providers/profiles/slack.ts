import type { ProfileGrant, ProfileNotice, ProfileTokens, ProviderProfile, TokenRefusal } from '../profile.ts';
import { hmac } from '../standard-routes.ts';

/** Everything comes with status 200; the word says what is wrong. */
const words: Readonly<Record<TokenRefusal, string>> = {
  client: 'bad_client_secret',
  code: 'invalid_code',
  redirect_uri: 'bad_redirect_uri',
  code_verifier: 'invalid_code',
  refresh_token: 'invalid_refresh_token',
  request: 'invalid_arguments',
};

const team = ({ account }: ProfileGrant) => `T${account}`;
const person = ({ account }: ProfileGrant) => `U${account}`;
const bot = ({ account }: ProfileGrant) => `B${account}`;

/** @source https://docs.slack.dev/reference/methods/oauth.v2.access */
function frame(grant: ProfileGrant): Record<string, unknown> {
  return {
    ok: true,
    app_id: 'A1',
    team: { id: team(grant), name: 'A workspace' },
    enterprise: null,
    is_enterprise_install: false,
  };
}

function botAnswer({ grant, accessToken, refreshToken }: ProfileTokens): object {
  const rotation = refreshToken === null ? {} : { refresh_token: refreshToken, expires_in: 43_200 };
  return {
    ...frame(grant),
    access_token: accessToken,
    token_type: 'bot',
    scope: grant.scopes.join(','),
    bot_user_id: bot(grant),
    authed_user: { id: person(grant) },
    ...rotation,
  };
}

function userAnswer({ grant, accessToken, refreshToken, isRefresh }: ProfileTokens): object {
  const tokens = {
    access_token: accessToken,
    token_type: 'user',
    scope: grant.scopes.join(','),
    ...(refreshToken !== null && { refresh_token: refreshToken, expires_in: 43_200 }),
  };
  // A refresh answers at the top level, the first time inside.
  return isRefresh
    ? { ...frame(grant), ...tokens }
    : { ...frame(grant), authed_user: { id: person(grant), ...tokens } };
}

/** @source https://docs.slack.dev/authentication/verifying-requests-from-slack */
function signed(body: unknown): ProfileNotice {
  return {
    body,
    headers: (text, secret) => {
      const nowS = Math.floor(Date.now() / 1_000);
      return {
        'x-slack-request-timestamp': String(nowS),
        'x-slack-signature': `v0=${hmac(`v0:${nowS}:${text}`, { secret, encoding: 'hex' })}`,
      };
    },
  };
}

/** @source https://docs.slack.dev/reference/events/tokens_revoked */
function tokensRevoked(grant: ProfileGrant, tokens: { oauth?: string[]; bot?: string[] }): ProfileNotice {
  return signed({
    token: 'verification-token-of-old',
    team_id: team(grant),
    api_app_id: 'A1',
    event: { type: 'tokens_revoked', tokens },
    type: 'event_callback',
    event_id: `Ev${grant.number}`,
    event_time: Math.floor(Date.now() / 1_000),
  });
}

const common = {
  provider: 'slack',
  documents: [
    'https://docs.slack.dev/reference/methods/oauth.v2.access',
    'https://docs.slack.dev/authentication/using-token-rotation',
    'https://docs.slack.dev/reference/events/tokens_revoked',
    'https://docs.slack.dev/reference/methods/auth.revoke',
  ],
  client: { scopes: ['channels:read', 'chat:write'] },
  authorization: {
    at: 'https://slack.com/oauth/v2/authorize',
    scopes: { parameter: 'scope', separator: ',' },
  },
  pkce: 'checked',
  token: {
    at: 'https://slack.com/api/oauth.v2.access',
    authentication: ['basic', 'post'],
    formats: ['form'],
  },
  accessTokenTtlS: null,
  refresh: null,
  refusal: (why) => ({ status: 200, body: { ok: false, error: words[why] } }),
  api: {
    method: 'POST',
    at: 'https://slack.com/api/auth.test',
    alive: (grant) => ({ ok: true, team_id: team(grant), user_id: person(grant) }),
    dead: { status: 200, body: { ok: false, error: 'token_revoked' } },
  },
  revocable: true,
  routes: [
    {
      method: 'POST',
      at: 'https://slack.com/api/auth.revoke',
      answer: ({ bearer }, desk) => {
        const grant = desk.grantOf(bearer);
        if (grant === undefined) return { status: 200, body: { ok: false, error: 'token_revoked' } };
        desk.endGrant(grant);
        return { status: 200, body: { ok: true, revoked: true } };
      },
    },
  ],
} as const satisfies Partial<ProviderProfile>;

/** An app without token rotation: its bot's token lives until somebody ends it. */
export const slackBot: ProviderProfile = {
  ...common,
  ...{ id: 'slack-bot', name: 'Slack (bot token)' },
  tokenAnswer: botAnswer,
  notice: (grant) => tokensRevoked(grant, { bot: [bot(grant)] }),
};

/** An app with token rotation: twelve hours, and a refresh token that is used once. Its end is not said to anybody. */
export const slackRotation: ProviderProfile = {
  ...common,
  ...{ id: 'slack-rotation', name: 'Slack (bot token, rotated)' },
  accessTokenTtlS: 43_200,
  refresh: { rotates: true, graceS: 0 },
  tokenAnswer: botAnswer,
  notice: null,
};

export const slackUser: ProviderProfile = {
  ...common,
  ...{ id: 'slack-user', name: 'Slack (user token)', provider: 'slack-user' },
  authorization: { ...common.authorization, scopes: { parameter: 'user_scope', separator: ',' } },
  accessTokenTtlS: 43_200,
  refresh: { rotates: true, graceS: 0 },
  tokenAnswer: userAnswer,
  notice: (grant) => tokensRevoked(grant, { oauth: [person(grant)] }),
};
