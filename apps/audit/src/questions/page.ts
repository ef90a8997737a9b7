import { limits } from '@postern/contracts';

/** How many rows a page has that nobody bounded. */
export const pageDefault = 50;

/** After so long a page ends where it is, so that whoever waits hears how far the reading is. */
export const pageMs = 1_500;

/** A page is one message on the bus. */
export const pageBytesMax = 4 * limits.requestBytesMax;
