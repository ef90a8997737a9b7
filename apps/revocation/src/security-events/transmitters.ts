import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { transmitterEvolver, type Transmitter, type TransmitterEvent } from '@postern/domain';
import { CommitReader } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { AdminView } from '../admin-view.ts';

/** Every transmitter of security events, also those that were disabled. */
@Injectable()
export class Transmitters
  extends AdminView<Transmitter, TransmitterEvent>
  implements OnServiceReady, OnApplicationShutdown
{
  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    super({ logs, reader, logger, readiness, kind: 'transmitter', evolver: transmitterEvolver });
  }
}
