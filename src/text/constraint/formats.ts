/**
 * The formats that are enforced, as patterns. Where a standard leaves room, the pattern allows the plain and common part of it: all that
 * it matches is valid, some rare valid texts are left out.
 */

const YEARS_WITH_LEAP_DAY = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
const DATE = `(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|${YEARS_WITH_LEAP_DAY}-02-29)`;
const CLOCK = '(?:[01]\\d|2[0-3]):[0-5]\\d';
const TIME = `${CLOCK}:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+-]${CLOCK})`;
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,14}[A-Za-z0-9])?';
const HOST = `${LABEL}(?:\\.${LABEL}){0,3}`;
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`;
const GROUP = '[0-9a-fA-F]{1,4}';
const HEX = '[0-9a-fA-F]';
const URI_HOST = '[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?';
const URI_CHAR = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2})";
const URI_REST = `(?:/${URI_CHAR}*)*(?:\\?(?:${URI_CHAR}|[/?])*)?(?:#(?:${URI_CHAR}|[/?])*)?`;
const POINTER = '(?:/(?:[^~/]|~[01])*)*';

/** `::` with at most seven groups around it, or all eight. */
const IPV6 = [
  `(?:${GROUP}:){7}${GROUP}`,
  ...Array.from({ length: 7 }, (_, before) => {
    const left = before === 0 ? ':' : `(?:${GROUP}:){${before}}`;
    const room = 7 - before;
    return room === 1 ? `${left}:${GROUP}` : `${left}:(?:${GROUP}(?::${GROUP}){0,${room - 1}})?`;
  }),
].join('|');

const DURATION_TIME = 'T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)';
const DURATION_DATE = '(?:\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?|\\d{1,9}M(?:\\d{1,9}D)?|\\d{1,9}D)';

export const STRING_FORMATS: Readonly<Record<string, string>> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE}T${TIME}`,
  duration: `P(?:${DURATION_DATE}(?:${DURATION_TIME})?|${DURATION_TIME}|\\d{1,9}W)`,
  email: `[A-Za-z0-9_+-]{1,20}(?:\\.[A-Za-z0-9_+-]{1,10}){0,2}@${LABEL}(?:\\.${LABEL}){1,3}`,
  hostname: HOST,
  ipv4: IPV4,
  ipv6: IPV6,
  uuid: `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`,
  uri: `[A-Za-z][A-Za-z0-9+.-]*://${URI_HOST}(?::\\d{1,5})?${URI_REST}`,
  url: `https?://${LABEL}(?:\\.${LABEL}){0,2}\\.[A-Za-z]{2,12}(?::\\d{4})?(?:/[A-Za-z0-9._~-]*)*`,
  'uri-reference': `(?:[A-Za-z][A-Za-z0-9+.-]*://${URI_HOST}(?::\\d{1,5})?)?${URI_REST}`,
  'json-pointer': POINTER,
  byte: '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?',
};

/** OpenAPI's hints about how a value is kept or shown: every string, or every number, has them. */
export const HINT_FORMATS: ReadonlySet<string> = new Set(['password', 'binary', 'float', 'double']);

export const INTEGER_FORMATS: Readonly<Record<string, { readonly minimum: number; readonly maximum: number }>> = {
  int32: { minimum: -(2 ** 31), maximum: 2 ** 31 - 1 },
  int64: { minimum: -(2 ** 63), maximum: 2 ** 63 },
};
