import { z } from 'zod';

/**
 * One stored message as one line of an export or archive: a CloudEvent in JSON.
 *
 * `data` is the payload as JSON where writing it again gives the stored bytes, so that people can read it; otherwise
 * `data_base64` holds the bytes. Either way the bytes come back exactly, which is what hashes and signatures are over.
 *
 * @source CloudEvents 1.0, JSON event format §3.1
 */
export const ExportedMessage = z.object({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.string(),
  type: z.string(),
  subject: z.string(),
  time: z.string(),
  datacontenttype: z.literal('application/json'),
  natssubject: z.string(),
  natsposition: z.number().int().positive(),
  natstime: z.string(),
  natsheaders: z.record(z.string(), z.string()),
  data: z.unknown().optional(),
  data_base64: z.string().optional(),
});
export type ExportedMessage = z.infer<typeof ExportedMessage>;
