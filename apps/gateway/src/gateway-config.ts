import { defineConfig, secretFile } from '@postern/service';

const tokenKeyCharsMin = 43;

/** What the gateway is told beside what every service is. */
export class GatewayConfig extends defineConfig(
  {
    /** POSTERN_TOKEN_KEY_FILE: what signs the platforms' access tokens; 32 random bytes as base64url, or more. */
    tokenKey: secretFile(),
  },
  [
    {
      variable: 'POSTERN_TOKEN_KEY_FILE',
      broken: ({ tokenKey }) =>
        tokenKey.reveal().trim().length < tokenKeyCharsMin ? 'is too short to sign with' : undefined,
    },
  ],
) {}
