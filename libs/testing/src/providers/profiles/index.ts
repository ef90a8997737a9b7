import type { ProviderProfile } from '../profile.ts';
import { asana } from './asana.ts';
import { atlassian } from './atlassian.ts';
import { githubAppUser, githubOAuthApp } from './github.ts';
import { gong } from './gong.ts';
import { google } from './google.ts';
import { greenhouse } from './greenhouse.ts';
import { hubspot, hubspot202603 } from './hubspot.ts';
import { intercom } from './intercom.ts';
import { linear } from './linear.ts';
import { microsoft } from './microsoft.ts';
import { notion } from './notion.ts';
import { salesforce } from './salesforce.ts';
import { slackBot, slackRotation, slackUser } from './slack.ts';
import { stripeApps, stripeConnect } from './stripe.ts';
import { xero } from './xero.ts';
import { zendesk } from './zendesk.ts';

/** What each named provider does, from its documents. */
export const providerProfiles: readonly ProviderProfile[] = [
  ...[gong, zendesk, githubOAuthApp, githubAppUser, hubspot, hubspot202603, salesforce, atlassian, asana],
  ...[stripeConnect, stripeApps, greenhouse, linear, google, microsoft],
  ...[slackBot, slackUser, slackRotation, notion, intercom, xero],
];
