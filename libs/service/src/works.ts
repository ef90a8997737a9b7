import { applyDecorators, Catch, UseFilters, type ExceptionFilter } from '@nestjs/common';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import type { ConsumerKey } from '@postern/contracts';
import type { WorkMessage } from '@postern/nats';
import { throwError, type Observable } from 'rxjs';

/** @internal Tells our transport's handlers from any other's. */
export const jetStreamTransportId = Symbol('postern.jetstream');

/** Nest would replace an error by "Internal server error"; here it decides the fate of the message. */
@Catch()
class WorkErrorFilter implements ExceptionFilter {
  catch(error: unknown): Observable<never> {
    return throwError(() => error);
  }
}

/** How many messages are worked on and fetched at a time, what of them is read, and whether the server is asked to confirm what is done. */
interface WorksOptions {
  readonly concurrencyMax?: number;
  readonly prefetchMax?: number;
  readonly confirms?: boolean;
  /** Is the payload handed on as JSON? It is by default; whoever reads the bytes of the message is handed nothing. */
  readonly parses?: boolean;
  /** Is there certainly nothing to do with these bytes? Then they are acknowledged, and neither traced nor measured. */
  readonly skips?: (payload: Uint8Array) => boolean;
}

type WorkHandler = (payload: unknown, message: WorkMessage) => Promise<void>;

/**
 * Works off a durable consumer of the streams with this method of a `@Controller()`.
 *
 * Returning acknowledges the message. A PosternError acknowledges, puts back or gives up as its row of the error
 * table says; anything else puts the message back. A method that settles the message itself has the last word.
 */
export function Works(
  consumer: ConsumerKey,
  { concurrencyMax = 16, prefetchMax = concurrencyMax, confirms = true, parses = true, skips }: WorksOptions = {},
) {
  return <H extends WorkHandler>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<H>,
  ): void => {
    Payload()(target, key, 0);
    Ctx()(target, key, 1);
    const pattern = EventPattern(consumer as string, jetStreamTransportId, {
      concurrencyMax,
      prefetchMax,
      confirms,
      parses,
      skips,
    }) as MethodDecorator;
    applyDecorators(pattern, UseFilters(new WorkErrorFilter()))(target, key, descriptor as PropertyDescriptor);
  };
}
