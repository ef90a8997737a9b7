import { Controller, Get, Header, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Metrics } from './metrics.ts';
import { ReadinessRegistry } from './readiness.ts';
import { ServiceIdentity } from './service-identity.ts';

/** What machines ask of every service: is it alive, may it be sent work, how does it do. */
@Controller()
export class HealthController {
  readonly #identity: ServiceIdentity;
  readonly #readiness: ReadinessRegistry;
  readonly #metrics: Metrics;

  constructor(identity: ServiceIdentity, readiness: ReadinessRegistry, metrics: Metrics) {
    this.#identity = identity;
    this.#readiness = readiness;
    this.#metrics = metrics;
  }

  /** Alive: the event loop turns. Nothing else, or a lost bus would restart every service at once. */
  @Get('healthz')
  alive(): object {
    return { status: 'ok', app: this.#identity.app, instance: this.#identity.instanceId };
  }

  @Get('readyz')
  ready(@Res({ passthrough: true }) reply: FastifyReply): object {
    const report = this.#readiness.report();
    reply.status(report.ready ? 200 : 503);
    return report;
  }

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  metrics(): string {
    return this.#metrics.text();
  }
}
