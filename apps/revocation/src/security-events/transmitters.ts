import { Injectable } from '@nestjs/common';

import { AdminFeed } from '../admin-feed.ts';
import { AdminView } from '../admin-view.ts';

/** Every transmitter of security events, also those that were disabled. */
@Injectable()
export class Transmitters extends AdminView<'transmitter'> {
  constructor(feed: AdminFeed) {
    super(feed, 'transmitter');
  }
}
