import type { KoaContext } from 'oidc-provider';

import { sendPage } from './acme-html.ts';
import { devicePage } from './acme-pages.ts';

const withButtons = (form: string, ...buttons: readonly string[]) =>
  form.replace('</form>', `${buttons.join('')}</form>`);

/** Acme's pages for user codes, around oidc-provider's own forms. @source RFC 8628 §3.3 */
export const devicePages = {
  userCodeInputSource: (ctx: KoaContext, form: string, _out: unknown, error: unknown) => {
    const problem = error === undefined ? undefined : 'The code is not one of ours, or it was used, or it is too late.';
    const title = 'Connect a device';
    sendPage(ctx, devicePage(title, withButtons(form, '<button type="submit">Continue</button>'), problem));
  },
  userCodeConfirmSource: (ctx: KoaContext, form: string) =>
    sendPage(
      ctx,
      devicePage(
        'Is this the code that you were shown?',
        withButtons(
          form,
          '<button type="submit">Continue</button>',
          '<button type="submit" name="abort" value="yes">Abort</button>',
        ),
      ),
    ),
  successSource: (ctx: KoaContext) => sendPage(ctx, devicePage('Connected', '<p>Go back to your device.</p>')),
};
