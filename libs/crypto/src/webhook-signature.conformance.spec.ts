import { createHmac } from 'node:crypto';

import { sign as githubSign } from '@octokit/webhooks-methods';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';

import { verifyWebhook, webhookSchemes, type WebhookDelivery, type WebhookScheme } from './index.ts';

/** What senders' own libraries sign, where they have one; published examples, and for the rest their documents. */
const nowMs = Date.UTC(2026, 10, 25, 12);
const nowS = nowMs / 1000;
const ageMsMax = 300_000;
const body = '{"type":"event_callback","greeting":"Grüße"}';
const url = 'https://postern.example/webhooks/provider/reg_1';
const standardSecret = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64')}`;
const secretOf = (scheme: WebhookScheme) => (scheme === 'standard_webhooks' ? standardSecret : 'the shared secret');
const hmac = (hash: string, encoding: 'hex' | 'base64', text: string) =>
  createHmac(hash, 'the shared secret').update(text).digest(encoding);

type Headers = Record<string, string>;
const signed: Record<WebhookScheme, (body: string, sentS: number) => Headers | Promise<Headers>> = {
  slack_v0: (text, sentS) => ({
    'x-slack-request-timestamp': `${sentS}`,
    'x-slack-signature': `v0=${hmac('sha256', 'hex', `v0:${sentS}:${text}`)}`,
  }),
  github_sha256: async (text) => ({ 'x-hub-signature-256': await githubSign('the shared secret', text) }),
  stripe_v1: (payload, timestamp) => ({
    'stripe-signature': new Stripe('sk_test_x').webhooks.generateTestHeaderString({
      payload,
      secret: 'the shared secret',
      timestamp,
    }),
  }),
  standard_webhooks: (text, sentS) => ({
    'webhook-id': 'msg_1',
    'webhook-timestamp': `${sentS}`,
    'webhook-signature': new StandardWebhook(standardSecret).sign('msg_1', new Date(sentS * 1000), text),
  }),
  hubspot_v3: (text, sentS) => ({
    'x-hubspot-request-timestamp': `${sentS * 1000}`,
    'x-hubspot-signature-v3': hmac('sha256', 'base64', `POST${url}${text}${sentS * 1000}`),
  }),
  linear_sha256: (text) => ({ 'linear-signature': hmac('sha256', 'hex', text) }),
  intercom_sha1: (text) => ({ 'x-hub-signature': `sha1=${hmac('sha1', 'hex', text)}` }),
  xero_sha256: (text) => ({ 'x-xero-signature': hmac('sha256', 'base64', text) }),
};

const timed: readonly WebhookScheme[] = ['slack_v0', 'stripe_v1', 'standard_webhooks', 'hubspot_v3'];

const keys = (...secrets: string[]) => secrets.map((text) => ({ secret: Buffer.from(text), text }));
const deliveryOf = (headers: Headers, text = body): WebhookDelivery => ({
  method: 'POST',
  url,
  headers,
  body: Buffer.from(text),
});
const verify = (scheme: WebhookScheme, delivery: WebhookDelivery, secrets = keys(secretOf(scheme))) =>
  verifyWebhook({ scheme, delivery, secrets, nowMs, ageMsMax });

test('every scheme is tried here', () => {
  expect(Object.keys(signed).toSorted()).toEqual([...webhookSchemes].toSorted());
});

describe.each(webhookSchemes)('%s', (scheme) => {
  const headers = async (sentS = nowS) => await signed[scheme](body, sentS);

  test('a delivery that its sender signed is verified', async () => {
    expect(verify(scheme, deliveryOf(await headers()))).toMatchObject({
      sentAtMs: timed.includes(scheme) ? nowMs : null,
    });
  });

  test('of several secrets in use the one that signed is told', async () => {
    const secrets = keys('an older one', secretOf(scheme), 'another');
    expect(verify(scheme, deliveryOf(await headers()), secrets)?.by.text).toBe(secretOf(scheme));
  });

  test('another body, another secret, none at all: not verified', async () => {
    const sent = await headers();
    expect(verify(scheme, deliveryOf(sent, `${body} `))).toBeUndefined();
    expect(verify(scheme, deliveryOf(sent, body.slice(0, -1)))).toBeUndefined();
    expect(verify(scheme, deliveryOf(sent), keys('another'))).toBeUndefined();
    expect(verify(scheme, deliveryOf(sent), [])).toBeUndefined();
  });

  test('a header that is missing, empty, cut or longer: not verified', async () => {
    for (const [name, value] of Object.entries<string>(await headers())) {
      for (const wrong of [undefined, '', value.slice(0, -2), `${value}ab`, 'v0=', 'sha256=', 't=,v1=', 'v1,']) {
        const changed = { ...(await headers()), [name]: wrong } as Headers;
        expect([name, wrong, verify(scheme, deliveryOf(changed))]).toEqual([name, wrong, undefined]);
      }
    }
  });

  if (timed.includes(scheme)) {
    test('its time counts: five minutes before and after now, and not a second more', async () => {
      const at = async (sentS: number) => verify(scheme, deliveryOf(await headers(sentS)));
      expect(await at(nowS - 300)).toBeDefined();
      expect(await at(nowS + 300)).toBeDefined();
      expect(await at(nowS - 301)).toBeUndefined();
      expect(await at(nowS + 301)).toBeUndefined();
    });

    test('a newer time under an older signature is not verified', async () => {
      const old = await headers(nowS - 3_600);
      const fresh = await headers();
      for (const name of Object.keys(old)) {
        const mixed = { ...fresh, [name]: (old as Headers)[name] ?? '' };
        if (mixed[name] === fresh[name]) continue;
        expect(verify(scheme, deliveryOf(mixed))).toBeUndefined();
      }
    });
  }
});

test('Slack’s published example', () => {
  const text =
    'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar' +
    '&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com' +
    '%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121' +
    '.803a0bc887a14d10d2c447fce8b6703c';
  const headers = {
    'x-slack-request-timestamp': '1531420618',
    'x-slack-signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
  };
  const secrets = keys('8f742231b10e8888abcd99yyyzzz85a5');
  const at = { scheme: 'slack_v0', delivery: deliveryOf(headers, text), secrets, ageMsMax } as const;
  expect(verifyWebhook({ ...at, nowMs: 1_531_420_618_000 })).toMatchObject({ sentAtMs: 1_531_420_618_000 });
  expect(verifyWebhook({ ...at, nowMs })).toBeUndefined();
});

test('GitHub’s published example', () => {
  const headers = { 'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' };
  const secrets = keys("It's a Secret to Everybody");
  expect(verify('github_sha256', deliveryOf(headers, 'Hello, World!'), secrets)).toBeDefined();
});

test('while Stripe changes its secret over, either signature counts', async () => {
  const [older, newer] = ['the older one', 'the newer one'].map((secret) =>
    new Stripe('sk_test_x').webhooks.generateTestHeaderString({ payload: body, secret, timestamp: nowS }),
  );
  const both = `${older},${newer?.split(',')[1]}`;
  for (const secret of ['the older one', 'the newer one']) {
    expect(verify('stripe_v1', deliveryOf({ 'stripe-signature': both }), keys(secret))).toBeDefined();
  }
});

test('the older header names of Standard Webhooks count as well', async () => {
  const headers = Object.entries(await signed.standard_webhooks(body, nowS));
  const svix = Object.fromEntries(headers.map(([name, value]) => [name.replace('webhook-', 'svix-'), value]));
  expect(verify('standard_webhooks', deliveryOf(svix))).toBeDefined();
});
