import type { AppName } from '@postern/contracts';

/** Which app this process is, and which of its instances. */
export class ServiceIdentity {
  readonly app: AppName;
  readonly instanceId: string;

  constructor({ app, instanceId }: { app: AppName; instanceId: string }) {
    this.app = app;
    this.instanceId = instanceId;
  }
}
