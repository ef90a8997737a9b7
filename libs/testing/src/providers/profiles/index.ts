import type { ProviderProfile } from '../profile.ts';
import { gong } from './gong.ts';
import { slackBot, slackRotation, slackUser } from './slack.ts';
import { zendesk } from './zendesk.ts';

/** What each named provider does, from its documents. */
export const providerProfiles: readonly ProviderProfile[] = [gong, zendesk, slackBot, slackUser, slackRotation];
