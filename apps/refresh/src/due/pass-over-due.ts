import { Injectable } from '@nestjs/common';
import { PassOver } from '@postern/service';

import { Pace } from '../pace/pace.ts';
import { dueTimeIn, tenantOfDue } from './due-messages.ts';

/** A planned due message whose tenant has no seat left is put back unread: a hundred thousand of them stand before another tenant's. */
@Injectable()
export class PassOverDue {
  constructor(passOver: PassOver, pace: Pace) {
    passOver.of('refreshWorker', (subject, payload) => pace.passOverMs(tenantOfDue(subject), dueTimeIn(payload)));
  }
}
