import { commitHeaders, limits, PosternError } from '@postern/contracts';

import type { AppendRequest } from './event-log.ts';

const expectedPositionHeader = 'Nats-Expected-Last-Subject-Sequence';
/** Positions grow, a commit that was measured must not: each counts as the longest there can be. */
const longestPosition = String(Number.MAX_SAFE_INTEGER);
const headerBlockBytes = 'NATS/1.0\r\n\r\n'.length;
const headerLineBytes = ': \r\n'.length;

type Measured = Pick<AppendRequest, 'payload' | 'headers' | 'messageId'>;

/** What a message takes as NATS counts it: its payload and all headers, with those that are added when it is sent. */
export function messageBytes({ payload, headers, messageId }: Measured): number {
  const sent = { ...headers, [commitHeaders.messageId]: messageId, [expectedPositionHeader]: longestPosition };
  let bytes = headerBlockBytes + payload.byteLength;
  for (const [name, value] of Object.entries(sent)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + headerLineBytes;
  }
  return bytes;
}

/** Refuses before it is sent what readers would skip. @throws {PosternError} `log.commit_too_large` */
export function assertMessageSize(message: Measured): void {
  const bytes = messageBytes(message);
  if (bytes <= limits.commitBytesMax) return;
  throw new PosternError('log.commit_too_large', `${bytes} bytes exceed the ${limits.commitBytesMax} of a commit.`);
}
