import { Injectable, type OnModuleInit } from '@nestjs/common';
import { limits } from '@postern/contracts';
import { RawRoutes } from '@postern/service';

import { revocationLimits } from '../revocation-limits.ts';
import { SetIntake } from './set-intake.ts';

/** `POST /signals/ssf/{stream}`: security event tokens by push; the stream is the transmitter's id. @source RFC 8935 §2 */
@Injectable()
export class SetRoute implements OnModuleInit {
  constructor(
    private readonly routes: RawRoutes,
    private readonly intake: SetIntake,
  ) {}

  onModuleInit(): void {
    const { webhookBodyTimeoutMs: timeoutMs, webhookUnfinishedBytesMax: unfinishedBytesMax } = revocationLimits;
    const bodyLimits = { bytesMax: limits.securityEventBytesMax, timeoutMs, unfinishedBytesMax };
    this.routes.post('/signals/ssf/:stream', bodyLimits, {
      handle: (request) => this.intake.take(request),
      onUnread: ({ code }) => this.intake.count(code === 'request.too_large' ? 'too_large' : 'too_slow'),
    });
  }
}
