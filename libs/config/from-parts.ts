import { ConfigurationError, problemsOf } from '../values/configuration-error.ts';

/**
 * Makes something of parts, and tells what is wrong with all of them: whoever mends one mistake meets no next one.
 * @param make gets what makes a part; one that cannot be made is undefined, whatever its type
 * @throws ConfigurationError with all of their problems
 */
export function fromParts<Whole>(
  make: (part: <Part>(makePart: () => Part) => Part) => Whole,
): Whole {
  const problems: string[] = [];
  const whole = make((makePart) => {
    try {
      return makePart();
    } catch (error) {
      problems.push(...problemsOf(error));
      return undefined as never;
    }
  });
  if (problems.length > 0) throw new ConfigurationError(problems);
  return whole;
}
