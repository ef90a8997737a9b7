import type { ServiceMsg } from '@nats-io/services';
import { MsgImpl, ProtocolHandler } from '@nats-io/nats-core/internal';

import { callHeaders } from './call-headers.ts';
import { checkedHeaders } from './stored-message.ts';

/**
 * Answers as the client's own `respond` does, in one piece: that makes four of each answer, and a table of its headers.
 *
 * @param correlationId of no character that a header may not hold
 */
export function respondAtOnce(message: ServiceMsg, text: string, correlationId: string): void {
  const raw: unknown = 'msg' in message ? message.msg : message;
  const protocol = raw instanceof MsgImpl ? raw.publisher : undefined;
  const reply = message.reply ?? '';
  const headers = `NATS/1.0\r\n${callHeaders.correlationId}: ${correlationId}\r\n\r\n`;
  const bytes = headers.length + Buffer.byteLength(text);
  const isTaken = protocol instanceof ProtocolHandler && reply !== '' && bytes <= (protocol.info?.max_payload ?? 0);
  if (!isTaken) {
    // Its own words for what cannot be sent.
    message.respond(text, { headers: checkedHeaders({ [callHeaders.correlationId]: correlationId }) });
    return;
  }
  protocol.outBytes += bytes;
  protocol.outMsgs += 1;
  protocol.sendCommand(`HPUB ${reply} ${headers.length} ${bytes}\r\n${headers}${text}\r\n`);
}
