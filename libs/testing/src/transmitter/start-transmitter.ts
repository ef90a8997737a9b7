import { createServer } from 'node:http';

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
  /** A token of this issuer. */
  sign(set: Omit<SetToSign, 'issuer'>): Promise<string>;
  close(): Promise<void>;
}

/** Starts a transmitter of security events on the loopback: keys at a URL, and tokens signed with them. */
export async function startTransmitter(): Promise<TestTransmitter> {
  const signer = await SetSigner.make();
  let calls = 0;
  const keys = () => ((calls += 1), transmitter.jwksFault?.() ?? { status: 200, body: JSON.stringify(signer.jwks) });
  const polled = (text: string, authorization: string | undefined): TestAnswer => {
    const { bearer, waiting, polls, pollFault } = transmitter;
    if (bearer !== undefined && authorization !== `Bearer ${bearer}`) return { status: 401, body: '' };
    const poll = JSON.parse(text) as TestPoll;
    polls.push(poll);
    const fault = pollFault?.();
    if (fault !== undefined) return fault;
    for (const jti of [...(poll.ack ?? []), ...Object.keys(poll.setErrs ?? {})]) waiting.delete(jti);
    const sets = Object.fromEntries([...waiting].slice(0, poll.maxEvents));
    const moreAvailable = waiting.size > Object.keys(sets).length;
    return { status: 200, body: JSON.stringify({ sets, ...(moreAvailable && { moreAvailable }) }) };
  };
  const server = createServer((request, response) => {
    void readText(request).then((text) => {
      const isPoll = request.method === 'POST' && request.url === '/poll';
      const { status, body, headers } = isPoll ? polled(text, request.headers.authorization) : keys();
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
    sign: async (set) => await signer.sign({ issuer, ...set }),
    close: async () => await closeServer(server),
  };
  return transmitter;
}
