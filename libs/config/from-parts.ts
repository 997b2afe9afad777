/**
 * Makes something of parts, and tells what is wrong with all of them: whoever mends one mistake meets no next one.
 * @param make gets what makes a part; one that cannot be made is undefined, whatever its type
 * @throws Error with a line for each problem
 */
export function fromParts<Whole>(
  make: (part: <Part>(makePart: () => Part) => Part) => Whole,
): Whole {
  const problems: string[] = [];
  const whole = make((makePart) => {
    try {
      return makePart();
    } catch (error) {
      problems.push((error as Error).message);
      return undefined as never;
    }
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return whole;
}
