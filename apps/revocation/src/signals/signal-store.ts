import { Injectable } from '@nestjs/common';
import { isPosternError, PosternError, streams, subjects, type Signal } from '@postern/contracts';
import { Bus, lastMessages, publishMessage } from '@postern/nats';
import { outgoingHeaders } from '@postern/service';

/** Puts verified signals on SIGNALS, each once. */
@Injectable()
export class SignalStore {
  readonly #bus: Bus;

  constructor(bus: Bus) {
    this.#bus = bus;
  }

  /**
   * @effect durable once it resolves; the same delivery is stored once for as long as SIGNALS keeps it.
   * @throws {PosternError} `log.unavailable`, `log.outcome_unknown`, `log.commit_too_large`: it may not be stored
   */
  async store(signal: Signal): Promise<'stored' | 'repeated'> {
    const subject = subjects.signal(signal);
    try {
      const { duplicate } = await publishMessage(this.#bus, {
        stream: streams.signals.name,
        subject,
        payload: signal,
        headers: outgoingHeaders(),
        messageId: subject,
        expectedLastSubjectPosition: 0,
      });
      return duplicate ? 'repeated' : 'stored';
    } catch (error) {
      if (!isPosternError(error) || error.code !== 'log.conflict') throw error;
    }
    // In a cluster a conflict may also be with the same delivery under way, which may fail yet.
    const standing = await lastMessages(this.#bus, { stream: streams.signals.name, subjects: [subject] });
    if (standing.has(subject)) return 'repeated';
    throw new PosternError('log.unavailable', 'It is not known yet whether the delivery is stored.');
  }

  /** Whether a signal stands under one of these names. @throws {PosternError} `log.unavailable` */
  async holdsAny(places: readonly Parameters<typeof subjects.signal>[0][]): Promise<boolean> {
    const wanted = places.map((place) => subjects.signal(place));
    return (await lastMessages(this.#bus, { stream: streams.signals.name, subjects: wanted })).size > 0;
  }
}
