import type { Bytes } from './bytes.ts';

/** A delivery as it arrived: nothing parsed, nothing decoded. */
export interface WebhookDelivery {
  readonly method: string;
  /** The whole URL as the sender knows it. */
  readonly url: string;
  /** By lower-case name; one that came twice is joined or absent, never the first of them. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

/** What a delivery says of its own signature. */
export interface ClaimedSignature {
  /** Any of them may be right: senders sign with an old and a new secret while they change over. */
  readonly signatures: readonly string[];
  /** What was signed, one part after the other with nothing in between. */
  readonly signed: readonly Bytes[];
  /** When it was sent, where that is a part of what was signed; null where the scheme signs no time. */
  readonly sentAtMs: number | null;
}

interface Scheme {
  readonly hash: 'sha256' | 'sha1';
  readonly encoding: 'hex' | 'base64';
  /** @returns undefined when something is missing that every delivery has. */
  readonly claimed: (delivery: WebhookDelivery) => ClaimedSignature | undefined;
  /** The key that a secret stands for; its bytes themselves when absent. */
  readonly keyOf?: (secret: Buffer) => Buffer;
}

const signaturesMax = 8;

/** A time in whole seconds or milliseconds, in digits and nothing else. */
function timeMs(text: string | undefined, unitMs: 1 | 1000): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) * unitMs : undefined;
}

/** The signature is of the body alone, in one header, maybe behind a prefix. */
function ofBody(header: string, prefix = ''): Scheme['claimed'] {
  return ({ headers, body }) => {
    const text = headers[header];
    if (text === undefined || !text.startsWith(prefix)) return undefined;
    return { signatures: [text.slice(prefix.length)], signed: [body], sentAtMs: null };
  };
}

function slack({ headers, body }: WebhookDelivery): ClaimedSignature | undefined {
  const [timestamp, text] = [headers['x-slack-request-timestamp'], headers['x-slack-signature']];
  const sentAtMs = timeMs(timestamp, 1000);
  if (sentAtMs === undefined || !text?.startsWith('v0=')) return undefined;
  return { signatures: [text.slice('v0='.length)], signed: [`v0:${timestamp}:`, body], sentAtMs };
}

function stripe({ headers, body }: WebhookDelivery): ClaimedSignature | undefined {
  const parts = (headers['stripe-signature'] ?? '').split(',').map((part) => part.trim().split('=', 2));
  const timestamp = parts.find(([name]) => name === 't')?.[1];
  const sentAtMs = timeMs(timestamp, 1000);
  const signatures = parts.flatMap(([name, value]) => (name === 'v1' && value !== undefined ? [value] : []));
  if (sentAtMs === undefined || signatures.length === 0) return undefined;
  return { signatures: signatures.slice(0, signaturesMax), signed: [`${timestamp}.`, body], sentAtMs };
}

/** The standard's own header names, and those of the product it came from. */
function standardWebhooks({ headers, body }: WebhookDelivery): ClaimedSignature | undefined {
  const named = (name: string) => headers[`webhook-${name}`] ?? headers[`svix-${name}`];
  const [id, timestamp] = [named('id'), named('timestamp')];
  const sentAtMs = timeMs(timestamp, 1000);
  const signatures = (named('signature') ?? '')
    .split(' ')
    .flatMap((part) => (part.startsWith('v1,') ? [part.slice('v1,'.length)] : []));
  if (id === undefined || sentAtMs === undefined || signatures.length === 0) return undefined;
  return { signatures: signatures.slice(0, signaturesMax), signed: [`${id}.${timestamp}.`, body], sentAtMs };
}

function standardWebhooksKey(secret: Buffer): Buffer {
  return Buffer.from(secret.toString('latin1').replace(/^whsec_/, ''), 'base64');
}

/** Characters that HubSpot decodes in a URL before it signs do not occur in ours. */
function hubspot({ method, url, headers, body }: WebhookDelivery): ClaimedSignature | undefined {
  const [timestamp, signature] = [headers['x-hubspot-request-timestamp'], headers['x-hubspot-signature-v3']];
  const sentAtMs = timeMs(timestamp, 1);
  if (timestamp === undefined || sentAtMs === undefined || signature === undefined) return undefined;
  return { signatures: [signature], signed: [method, url, body, timestamp], sentAtMs };
}

/** @internal Each way of signing that a provider's file can name. */
export const schemes = Object.freeze({
  /** @source https://docs.slack.dev/authentication/verifying-requests-from-slack */
  slack_v0: { hash: 'sha256', encoding: 'hex', claimed: slack },
  /** @source https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries */
  github_sha256: { hash: 'sha256', encoding: 'hex', claimed: ofBody('x-hub-signature-256', 'sha256=') },
  /** @source https://docs.stripe.com/webhooks/signature */
  stripe_v1: { hash: 'sha256', encoding: 'hex', claimed: stripe },
  /** @source https://www.standardwebhooks.com, §Signature scheme */
  standard_webhooks: { hash: 'sha256', encoding: 'base64', claimed: standardWebhooks, keyOf: standardWebhooksKey },
  /** @source https://developers.hubspot.com/docs/api/webhooks/validating-requests */
  hubspot_v3: { hash: 'sha256', encoding: 'base64', claimed: hubspot },
  /** @source https://linear.app/developers/webhooks */
  linear_sha256: { hash: 'sha256', encoding: 'hex', claimed: ofBody('linear-signature') },
  /** SHA-1 is this provider's choice; as a keyed hash it still stands. @source https://developers.intercom.com/docs/webhooks */
  intercom_sha1: { hash: 'sha1', encoding: 'hex', claimed: ofBody('x-hub-signature', 'sha1=') },
  /** @source https://developer.xero.com/documentation/guides/webhooks/configuring-your-server */
  xero_sha256: { hash: 'sha256', encoding: 'base64', claimed: ofBody('x-xero-signature') },
} as const satisfies Record<string, Scheme>);

export type WebhookScheme = keyof typeof schemes;

/** The names of all schemes. */
export const webhookSchemes = Object.keys(schemes) as [WebhookScheme, ...WebhookScheme[]];

/** @internal */
export const schemeOf = (name: WebhookScheme): Scheme => schemes[name];
