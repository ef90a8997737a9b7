import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf } from '@postern/contracts';
import { Serves } from '@postern/service';

import { Reconciler } from './reconciler.ts';

/** Answers `refresh.status`. */
@Injectable()
export class TellStatus {
  constructor(private readonly reconciler: Reconciler) {}

  @Serves(operations.refreshStatus)
  async status(): Promise<ReplyOf<typeof operations.refreshStatus>> {
    return await this.reconciler.status();
  }
}
