import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { readText } from '../acme/http-body.ts';
import { closeServer, listenOnLoopback } from '../loopback.ts';
import { SetSigner, type SetToSign } from './set-signer.ts';

interface TestAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Record<string, string>;
}

/** What is answered instead; undefined: what is asked for. */
type Answering = () => TestAnswer | undefined;

/** @source RFC 8936 §2.2 */
export interface TestPoll {
  readonly maxEvents?: number;
  readonly returnImmediately?: boolean;
  readonly ack?: readonly string[];
  readonly setErrs?: Readonly<Record<string, { err: string }>>;
}

export interface TestTransmitter {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly signer: SetSigner;
  /** How often its keys were fetched. */
  readonly jwksCalls: () => number;
  /** What its JWKS URL answers instead of the keys; undefined: the keys. */
  jwksFault: Answering | undefined;
  readonly pollUri: string;
  /** What waits to be fetched by polling, by `jti`; whatever is acknowledged or refused goes. */
  readonly waiting: Map<string, string>;
  /** Every poll as it came. */
  readonly polls: TestPoll[];
  /** What a poll must send as its bearer token; undefined: nothing. */
  bearer: string | undefined;
  /** What a poll is answered instead. */
  pollFault: Answering | undefined;
  /** Keeps its answer back until it has something, when the poll allows that. */
  holdsPolls: boolean;
  /** How many polls it keeps waiting. */
  readonly held: () => number;
  readonly verificationUri: string;
  /** Every request for a verification as it came. */
  readonly verifications: { readonly state?: string; readonly stream_id?: string }[];
  /** What it does when it has answered such a request; undefined: nothing. */
  verifies: ((state: string) => Promise<void>) | undefined;
  /** A token of this issuer. */
  sign(set: Omit<SetToSign, 'issuer'>): Promise<string>;
  close(): Promise<void>;
}

/** Starts a transmitter of security events on the loopback: keys at a URL, and tokens signed with them. */
export async function startTransmitter(): Promise<TestTransmitter> {
  const signer = await SetSigner.make();
  let calls = 0;
  const keys = () => ((calls += 1), transmitter.jwksFault?.() ?? { status: 200, body: JSON.stringify(signer.jwks) });
  let held = 0;
  const polled = async (text: string, authorization: string | undefined, gone: AbortSignal): Promise<TestAnswer> => {
    const { bearer, waiting, polls, pollFault } = transmitter;
    if (bearer !== undefined && authorization !== `Bearer ${bearer}`) return { status: 401, body: '' };
    const poll = JSON.parse(text) as TestPoll;
    polls.push(poll);
    const fault = pollFault?.();
    if (fault !== undefined) return fault;
    for (const jti of [...(poll.ack ?? []), ...Object.keys(poll.setErrs ?? {})]) waiting.delete(jti);
    held += 1;
    while (transmitter.holdsPolls && poll.returnImmediately === false && waiting.size === 0 && !gone.aborted) {
      await delay(20);
    }
    held -= 1;
    const sets = Object.fromEntries([...waiting].slice(0, poll.maxEvents));
    const moreAvailable = waiting.size > Object.keys(sets).length;
    return { status: 200, body: JSON.stringify({ sets, ...(moreAvailable && { moreAvailable }) }) };
  };
  const verifying = (text: string, authorization: string | undefined): TestAnswer => {
    const { bearer, verifications, verifies } = transmitter;
    if (bearer !== undefined && authorization !== `Bearer ${bearer}`) return { status: 401, body: '' };
    const asked = JSON.parse(text) as (typeof verifications)[number];
    verifications.push(asked);
    // Its trouble is for the specification that waits for what it sends.
    setImmediate(() => void verifies?.(asked.state ?? '').catch(() => undefined));
    return { status: 204, body: '' };
  };
  const metadata = (): TestAnswer => {
    const { issuer: named, jwksUri, verificationUri } = transmitter;
    const body = JSON.stringify({ issuer: named, jwks_uri: jwksUri, verification_endpoint: verificationUri });
    return { status: 200, body };
  };
  const server = createServer((request, response) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    void readText(request).then(async (text) => {
      const { authorization } = request.headers;
      const answers: Record<string, () => TestAnswer | Promise<TestAnswer>> = {
        'POST /poll': () => polled(text, authorization, gone.signal),
        'POST /verify': () => verifying(text, authorization),
        'GET /.well-known/ssf-configuration': metadata,
      };
      const { status, body, headers } = await (answers[`${request.method} ${request.url}`] ?? keys)();
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
    });
  });
  const issuer = `http://127.0.0.1:${await listenOnLoopback(server)}`;
  const transmitter: TestTransmitter = {
    issuer,
    jwksUri: `${issuer}/jwks`,
    signer,
    jwksCalls: () => calls,
    jwksFault: undefined,
    pollUri: `${issuer}/poll`,
    waiting: new Map(),
    polls: [],
    bearer: undefined,
    pollFault: undefined,
    holdsPolls: false,
    held: () => held,
    verificationUri: `${issuer}/verify`,
    verifications: [],
    verifies: undefined,
    sign: async (set) => await signer.sign({ issuer, ...set }),
    close: async () => await closeServer(server),
  };
  return transmitter;
}
