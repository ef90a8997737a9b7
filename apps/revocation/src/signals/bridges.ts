import { Injectable } from '@nestjs/common';
import { isId, PosternError, type Signal } from '@postern/contracts';

import { AdminFeed } from '../admin-feed.ts';
import { AdminView } from '../admin-view.ts';

/** Every bridge, and what it may say. */
@Injectable()
export class Bridges extends AdminView<'bridge'> {
  constructor(feed: AdminFeed) {
    super(feed, 'bridge');
  }

  /**
   * A signal of ours as it is; one that a bridge published, with what it may not say of itself put right.
   *
   * On its subjects the bus lets a bridge write what it likes. So nothing of it is believed but what it was made for:
   * who it is stands in the subject, and when it came the stream itself says.
   *
   * @param storedAtMs as the stream has it
   * @throws {PosternError} `signal.not_allowed`: it never will be; `service.not_ready`
   */
  async checked(signal: Signal, storedAtMs: number): Promise<Signal> {
    const { source, tenantId, registrationId, verified } = signal;
    const isBridged = isId('bridge', source);
    if (!isBridged && !('bridgeId' in verified)) return signal;
    const bridge = isBridged ? await this.find(source) : undefined;
    const isItself = 'bridgeId' in verified && verified.bridgeId === source;
    const maySpeak = bridge?.speaksFor.some(
      (spoken) => spoken.tenantId === tenantId && spoken.registrationId === registrationId,
    );
    if (bridge === undefined || bridge.disabled || !isItself || maySpeak !== true) {
      throw new PosternError('signal.not_allowed', 'A bridge said what it may not say.');
    }
    return { ...signal, receivedAtMs: storedAtMs };
  }
}
