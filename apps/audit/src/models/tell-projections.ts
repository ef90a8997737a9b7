import { Injectable } from '@nestjs/common';
import { operations, type ReplyOf, type RequestOf } from '@postern/contracts';
import { Serves } from '@postern/service';

import { Projections } from './projections.ts';

/** Answers `projections.list`, `projections.rebuild` and `projections.verify`. */
@Injectable()
export class TellProjections {
  constructor(private readonly projections: Projections) {}

  @Serves(operations.listProjections)
  async list(): Promise<ReplyOf<typeof operations.listProjections>> {
    return { projections: await this.projections.list() };
  }

  @Serves(operations.rebuildProjection)
  async rebuild({
    model,
  }: RequestOf<typeof operations.rebuildProjection>): Promise<ReplyOf<typeof operations.rebuildProjection>> {
    return await this.projections.rebuild(model);
  }

  @Serves(operations.verifyProjection)
  async verify({
    model,
  }: RequestOf<typeof operations.verifyProjection>): Promise<ReplyOf<typeof operations.verifyProjection>> {
    return await this.projections.verify(model);
  }
}
