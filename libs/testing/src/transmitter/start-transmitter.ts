import { createServer } from 'node:http';

import { closeServer, listenOnLoopback } from '../loopback.ts';
import { SetSigner, type SetToSign } from './set-signer.ts';

export interface TestTransmitter {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly signer: SetSigner;
  /** How often its keys were fetched. */
  readonly jwksCalls: () => number;
  /** What its JWKS URL answers instead of the keys; undefined: the keys. */
  jwksFault: (() => { status: number; body: string; headers?: Record<string, string> }) | undefined;
  /** A token of this issuer. */
  sign(set: Omit<SetToSign, 'issuer'>): Promise<string>;
  close(): Promise<void>;
}

/** Starts a transmitter of security events on the loopback: keys at a URL, and tokens signed with them. */
export async function startTransmitter(): Promise<TestTransmitter> {
  const signer = await SetSigner.make();
  let calls = 0;
  const server = createServer((_request, response) => {
    calls += 1;
    const { status, body, headers } = transmitter.jwksFault?.() ?? { status: 200, body: JSON.stringify(signer.jwks) };
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
  });
  const issuer = `http://127.0.0.1:${await listenOnLoopback(server)}`;
  const transmitter: TestTransmitter = {
    issuer,
    jwksUri: `${issuer}/jwks`,
    signer,
    jwksCalls: () => calls,
    jwksFault: undefined,
    sign: async (set) => await signer.sign({ issuer, ...set }),
    close: async () => await closeServer(server),
  };
  return transmitter;
}
