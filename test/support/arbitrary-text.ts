import fc from 'fast-check';

/** Text that a header may hold, mostly near something that is read. */
export const headerText = (...known: string[]) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...known),
        fc.constantFrom(
          ' ',
          ',',
          ';',
          '=',
          '-',
          '"',
          '*',
          '/',
          ':',
          '0',
          '1',
          '99999999999999999999',
        ),
        fc.string({
          unit: fc
            .integer({ min: 0x20, max: 0xff })
            .filter((code) => code !== 0x7f)
            .map((code) => String.fromCharCode(code)),
          maxLength: 4,
        }),
      ),
      { maxLength: 7 },
    )
    .map((parts) => parts.join(''));

/** Text in a path or a query: what may stand there, escapes that are none, and bytes that are no text. */
export const pathText = (...known: string[]) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...known),
        fc.constantFrom(
          '%',
          '%2',
          '%00',
          '%2e',
          '%2F',
          '%ff',
          '%ED%A0%80',
          '%0d%0a',
          '+',
          '..',
          '\\',
          '#',
          ';',
        ),
        fc.string({ unit: 'grapheme', maxLength: 5 }).map((text) => encodeURIComponent(text)),
        fc.string({ unit: fc.constantFrom(...'abcXYZ019._-~!$()*,:@'), maxLength: 5 }),
      ),
      { maxLength: 4 },
    )
    .map((parts) => parts.join(''));
