import { type Access, formatScope } from '#libs/access/scope.ts';

/** Characters of one scope, and of a list of them, in a line. */
const [mostOfOne, mostOfAll] = [200, 500];

/** One scope for a line of a log. */
export function describeScope(access: Access): string {
  const text = formatScope(access);
  return text.length > mostOfOne ? `${text.slice(0, mostOfOne)}…` : text;
}

/** Scopes as one text for a line of a log, of bounded length however many and however long they are. */
export function describeScopes(scopes: readonly Access[]): string {
  const shown: string[] = [];
  let length = 0;
  for (const access of scopes) {
    const scope = describeScope(access);
    length += scope.length + 1;
    if (length > mostOfAll) break;
    shown.push(scope);
  }
  const left = scopes.length - shown.length;
  return [...shown, ...(left > 0 ? [`and ${left} more`] : [])].join(' ');
}
