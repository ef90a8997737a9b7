import { Injectable } from '@nestjs/common';

import { AdminFeed } from './admin-feed.ts';
import { AdminView } from './admin-view.ts';

/** Every client registration. Disabled ones too, since what was granted through them can still end. */
@Injectable()
export class Registrations extends AdminView<'registration'> {
  constructor(feed: AdminFeed) {
    super(feed, 'registration');
  }
}
