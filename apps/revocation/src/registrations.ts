import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { registrationEvolver, type Registration, type RegistrationEvent } from '@postern/domain';
import { CommitReader } from '@postern/event-log';
import { EventLogs, Logger, ReadinessRegistry, type OnServiceReady } from '@postern/service';

import { AdminView } from './admin-view.ts';

/** Every client registration. Disabled ones too, since what was granted through them can still end. */
@Injectable()
export class Registrations
  extends AdminView<Registration, RegistrationEvent>
  implements OnServiceReady, OnApplicationShutdown
{
  constructor(logs: EventLogs, reader: CommitReader, logger: Logger, readiness: ReadinessRegistry) {
    super({ logs, reader, logger, readiness, kind: 'registration', evolver: registrationEvolver });
  }
}
